"""Saving the changes of a charge, unless it is charged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.db import connections

from aa_stripe.models.charge.attempt import reject_charged
from aa_stripe.models.rows import database_of, reread, root_model, store_if

if TYPE_CHECKING:
    from collections.abc import Iterable

    from django.db.models import Field

    from aa_stripe.models.charge.model import StripeCharge

#: What ``save()`` cannot change once the money is collected: what the payment was made for.
FINAL = frozenset({"amount", "currency", "customer", "is_charged", "user"})


def save_changes(charge: StripeCharge, **values: Any) -> None:
    """Save the object's unsaved changes and the ``values``, in one statement for our own fields.

    Raises ``StripeMethodNotAllowed``, and writes nothing, if the row has been charged meanwhile.
    """
    if charge._state.adding:
        for name, value in values.items():
            setattr(charge, name, value)
        charge.save()
        return
    changed = charge.changed_fields()
    ours = changed & {it.attname for it in root_model(charge)._meta.concrete_fields}
    written = {name: _checked(charge, name) for name in ours} | values
    if written and not store_if(charge, {"is_charged": False}, written):
        reread(charge)
        reject_charged(charge)
    computed = [name for name, it in written.items() if hasattr(it, "resolve_expression")]
    if computed:  # or the next save would compute them once more
        charge.refresh_from_db(using=database_of(charge), fields=computed)
    if changed != ours:  # fields of a site's own model, in its own table
        charge.save(update_fields=changed - ours)


def _checked(charge: StripeCharge, name: str) -> Any:
    """Return the field's value; raise here if it is not valid.

    If the statement raised it, a transaction around the call would be unusable.
    """
    value, field = getattr(charge, name), cast("Field[Any, Any]", charge._meta.get_field(name))
    field.get_db_prep_save(value, connections[database_of(charge)])
    return value


def terms_in(values: Iterable[tuple[Field[Any, Any], Any, Any]], using: str) -> dict[str, Any]:
    """Return the lookups of a row with the terms among the ``values`` of an UPDATE."""
    terms = {}
    for field, _model, value in values:
        if field.name in FINAL:
            # Stripe writes "usd" for what was created as "USD".
            lookup = "currency__iexact" if field.name == "currency" else field.attname
            terms[lookup] = field.get_db_prep_save(value, connections[using])
    return terms
