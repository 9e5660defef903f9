"""The metadata of a charge's payment intent, by which other systems recognize the payment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aa_stripe.models.rows import related
from aa_stripe.settings import stripe_settings

if TYPE_CHECKING:
    from aa_stripe.models.charge.model import StripeCharge


def metadata_for(
    charge: StripeCharge, idempotency_key: str | None = None, payment_uuid: object = None
) -> dict[str, str]:
    """Return the metadata; the arguments are the caller's own names for the payment."""
    named = {
        "object_id": charge.source_pk,
        "content_type_id": charge.content_type_id,
        "origin": stripe_settings.PAYMENT_ORIGIN,
        "member_uuid": _member_uuid(charge),
        "payment_uuid": payment_uuid,
        "idempotency_key": idempotency_key,
    }
    return {name: str(value) for name, value in named.items() if value is not None}


def _member_uuid(charge: StripeCharge) -> object:
    """Return the ``uuid`` of the user. A user whose model has none is not read."""
    user_model = charge._meta.get_field("user").related_model
    return getattr(related(charge, "user"), "uuid", None) if hasattr(user_model, "uuid") else None
