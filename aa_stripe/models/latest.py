"""Writing to a row what Stripe said last, when several processes ask Stripe at the same time.

Responses may be written in another order than Stripe has sent them. So a response is written only
if the row has not been written since before Stripe was asked; otherwise Stripe is asked again. No
lock is held meanwhile. The version of a row is its ``updated``, which every write changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

from django.db import connections, models, transaction
from django.db.models.signals import post_save, pre_save
from django.utils import timezone

from aa_stripe.exceptions import StripeInProgress
from aa_stripe.models.erasable import Erasable
from aa_stripe.models.rows import (
    database_of,
    key_of,
    own_row,
    retry_on_conflict,
    root_model,
    set_as_stored,
    store_if,
    write_if,
)
from aa_stripe.models.statements import read

T = TypeVar("T")

#: Writes values to a row if it still has the version; returns whether it had.
Write: TypeAlias = Callable[[Any, object, dict[str, Any]], bool]

#: How often Stripe is asked about the same rows.
ROUNDS = 5


def write_latest(
    rows: Sequence[Any],
    ask: Callable[[], T],
    values_of: Callable[[Any, T], dict[str, Any]],
    write: Write | None = None,
    *,
    are_fresh: bool = False,
) -> T:
    """Write ``values_of(row, response)`` to each row; return the last response of ``ask()``.

    ``write`` is ``save_newer`` (the default), ``write_newer`` or a function that calls one of them.
    ``are_fresh``: the objects were just read, so their versions are not read again.

    Raises ``StripeInProgress`` if other processes have written one of the rows in each of five
    rounds, ``DoesNotExist`` if a row was deleted, and what ``ask()`` raises.
    """
    left, is_locked = list(rows), False
    for _ in range(ROUNDS):
        versions = [
            row.updated if are_fresh else version_of(row, is_locked=is_locked) for row in left
        ]
        response = ask()
        left = [
            row
            for row, version in zip(left, versions, strict=True)
            if not (write or save_newer)(row, version, values_of(row, response))
        ]
        if not left:
            return response
        is_locked, are_fresh = True, False
    raise StripeInProgress


def version_of(row: models.Model, *, is_locked: bool = False) -> Any:
    """Return the version of the row, before Stripe is asked about it.

    The object learns whether the row was erased, so that what is written leaves it so.

    ``is_locked``: an open transaction locks the row, if the database can. In MariaDB's transactions
    no other read sees what was committed since their beginning.
    """
    using = database_of(row)
    names = ["updated", "erased"] if isinstance(row, Erasable) else ["updated"]
    if is_locked and connections[using].in_atomic_block:
        values = own_row(row, using).select_for_update().values(*names).get()
    else:
        key = key_of(row)
        found = read(root_model(row), using, key, only=[*key, *names])
        # get() raises DoesNotExist, which has the name of the model.
        values = {it: getattr(found or own_row(row, using).get(), it) for it in names}
    version = values.pop("updated")
    set_as_stored(row, values)
    return version


def reread_latest(row: models.Model, names: Sequence[str] | None = None) -> None:
    """Read the fields (``None``: all) as they are now, also in a transaction of MariaDB.

    In a transaction the row is locked: no other read sees what was committed since its beginning.
    """
    using = database_of(row)
    if not connections[using].in_atomic_block:
        row.refresh_from_db(using=using, fields=names)
        return
    fields = names or [it.attname for it in root_model(row)._meta.concrete_fields]
    set_as_stored(row, own_row(row, using).select_for_update().values(*fields).get())


def has_values(row: models.Model, values: dict[str, Any]) -> bool:
    """Return whether the object has these values."""
    return all(getattr(row, name) == value for name, value in values.items())


def write_newer(row: models.Model, version: object, values: dict[str, Any]) -> bool:
    """Write the values, as ``save_newer`` does, without ``save()`` and Django's signals."""
    return store_if(row, {"updated": version}, {**values, "updated": timezone.now()})


def save_newer(row: models.Model, version: object, values: dict[str, Any]) -> bool:
    """Save the object with these values if the row still has that version; return whether it has.

    Other unsaved changes of the object are saved, too. The fields are written even if the object
    has these values already: the row need not have them.
    """
    if _needs_no_save(row, values):
        return write_newer(row, version, values)
    using = database_of(row)
    return retry_on_conflict(using, partial(_save, row, using, version, values))


def _needs_no_save(row: Any, values: dict[str, Any]) -> bool:
    """Return whether ``save()`` would only write the values: one statement does that, too."""
    model = type(row)
    is_heard = any(signal.has_listeners(model) for signal in (pre_save, post_save))
    return model is root_model(row) and not is_heard and row.changed_fields() <= set(values)


def _save(row: Any, using: str, version: object, values: dict[str, Any]) -> bool:
    with transaction.atomic(using=using):
        # This locks the row, also on SQLite.
        if not write_if(row, {"updated": version}, {"updated": timezone.now()}):
            return False
        for name, value in values.items():
            setattr(row, name, value)
        row.save(update_fields={*values, *row.changed_fields(), "updated"})
    return True
