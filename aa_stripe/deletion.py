"""What is kept of a row when a row that it refers to is deleted.

The functions are the ``on_delete`` of foreign keys. Migrations contain them, so their names must
not change.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db.models.deletion import Collector, ProtectedError

#: So many rows are named in an error.
MOST_NAMED = 5

Rows = Any  # a queryset


def keep_user_key(collector: Collector, field: Any, rows: Rows, using: str) -> None:
    """Keep the rows without the user, and its primary key as text in ``user_key``."""
    _keep_user_key(collector, field, _light(field, rows))


def keep_source_type(collector: Collector, field: Any, rows: Rows, using: str) -> None:
    """Keep the rows without the content type, and its name in ``source_type``."""
    types = _grouped(field, _light(field, rows))
    found = field.related_model._base_manager.using(using).in_bulk(list(types))
    names = {key: f"{it.app_label}.{it.model}" for key, it in found.items()}
    _keep(collector, field, "source_type", names, types)


def keep_ended(collector: Collector, field: Any, rows: Rows, using: str) -> None:
    """Keep the ended rows without the foreign key; refuse the deletion because of others."""
    collector.add_field_update(field, None, _refusing_open(collector, rows))


def keep_ended_with_user_key(collector: Collector, field: Any, rows: Rows, using: str) -> None:
    """Keep the ended rows as ``keep_user_key`` does; refuse the deletion because of others."""
    _keep_user_key(collector, field, _refusing_open(collector, rows))


def refusal(rows: list[Any]) -> ProtectedError:
    """Return the error that names ``rows``, which must not be deleted."""
    return _error(
        f"because Stripe may still bill or pay for them: {_named(rows)}. "
        "StripeCustomer.close(user) ends what a user has at Stripe.",
        rows,
    )


def history_refusal(rows: list[Any]) -> ProtectedError:
    """Return the error that names ``rows``, which must not be deleted with another row."""
    return _error(
        f"because they record payments: {_named(rows)}. Delete them first, or set their "
        "content_type to None.",
        rows,
    )


def _error(reason: str, rows: list[Any]) -> ProtectedError:
    return ProtectedError(f"These rows cannot be deleted, {reason}", set(rows))


def _named(rows: list[Any]) -> str:
    named = ", ".join(_name(it) for it in rows[:MOST_NAMED])
    more = len(rows) - MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named


def _name(row: Any) -> str:
    kind = row._meta.verbose_name
    stripe_id = next((it for it in map(row.__dict__.get, row.STRIPE_IDS) if it), "no id at Stripe")
    return f"{kind} {row.pk} ({stripe_id})"


def _refusing_open(collector: Collector, rows: Rows) -> list[Any]:
    """Return the rows; have the deletion refused if not all have ended.

    Django replaces the text of an error raised here. So open rows join what is deleted, and
    ``Protected`` refuses to delete them, before anything is. A collector that only previews the
    deletion, as the admin's does, lists the protected rows of the error instead.
    """
    every = list(rows.defer(None).order_by("pk"))  # Django has deferred most columns
    opened = [it for it in every if it.is_open()]
    if opened and hasattr(collector, "protected"):
        raise refusal(opened)
    for row in opened:
        row.deleted_with = opened
    collector.add(opened)
    return every


def _light(field: Any, rows: Rows) -> Rows:
    """Return the rows with only what is needed here: there may be many, with large responses."""
    return rows.select_related(None).only(field.attname)


def _grouped(field: Any, rows: Iterable[Any]) -> dict[Any, list[Any]]:
    """Return the rows by the primary key that the foreign key has."""
    groups = defaultdict(list)
    for row in rows:
        groups[getattr(row, field.attname)].append(row)
    return groups


def _keep_user_key(collector: Collector, field: Any, rows: Iterable[Any]) -> None:
    users = _grouped(field, rows)
    _keep(collector, field, "user_key", {key: str(key) for key in users}, users)


def _keep(
    collector: Collector, field: Any, text: str, texts: dict[Any, str], groups: dict[Any, list[Any]]
) -> None:
    column: Any = field.model._meta.get_field(text)
    for key, rows in groups.items():
        collector.add_field_update(column, texts[key], rows)
        collector.add_field_update(field, None, rows)
