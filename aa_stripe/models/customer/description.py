"""What Stripe says about a customer, and the values of our fields that follow from it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aa_stripe import gateway
from aa_stripe.models.erasable import kept
from aa_stripe.models.legacy import with_card_keys

if TYPE_CHECKING:
    from aa_stripe.models.customer.model import StripeCustomer


@dataclass(frozen=True)
class Description:
    """Stripe's customer and its PaymentMethods as plain JSON; ``None`` if they were not read.

    Those of a customer that was deleted are never read: it has none.
    """

    plain: gateway.JSON
    methods: list[gateway.JSON] | None = None

    @property
    def is_deleted(self) -> bool:
        return bool(self.plain.get("deleted"))

    @property
    def default_source(self) -> str:
        settings = self.plain.get("invoice_settings") or {}
        default = settings.get("default_payment_method") or self.plain.get("default_source")
        return default or ""


def described(
    customer: gateway.Customer, methods: Iterable[gateway.PaymentMethod] | None = None
) -> Description:
    """Describe the customer; ``None`` reads its PaymentMethods from Stripe."""
    description = Description(gateway.to_json(customer))
    if methods is None or description.is_deleted:
        return with_methods(description)
    return replace(description, methods=[gateway.to_json(it) for it in methods])


def described_by_default(customer: gateway.Customer, known: Collection[str]) -> Description:
    """Describe the customer; read its PaymentMethods only if the default is not in ``known``."""
    description = Description(gateway.to_json(customer))
    is_known = description.default_source in {"", *known}
    return description if is_known else with_methods(description)


def with_methods(description: Description) -> Description:
    """Return the description with the customer's PaymentMethods, read from Stripe."""
    if description.is_deleted:
        return description
    methods = gateway.payment_methods(description.plain["id"])
    return replace(description, methods=[gateway.storable(it) for it in methods])


def values_of(row: StripeCustomer, description: Description) -> dict[str, Any]:
    """Return the values of the row that are Stripe's."""
    return kept(row, _values_of(description))


def _values_of(description: Description) -> dict[str, Any]:
    plain = description.plain
    if description.is_deleted:
        return {"stripe_response": plain, "is_active": False}
    values = {"stripe_response": plain, "default_source": description.default_source}
    if description.methods is None:
        return values
    listed = {method["id"] for method in description.methods}
    legacy = (plain.get("sources") or {}).get("data") or []
    sources = [*description.methods, *(it for it in legacy if it["id"] not in listed)]
    return {**values, "sources": [with_card_keys(it) for it in sources]}
