"""What Stripe says about a customer, and the values of our fields that follow from it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from aa_stripe import gateway

if TYPE_CHECKING:
    from aa_stripe.models.customer.model import StripeCustomer


@dataclass(frozen=True)
class Description:
    """Stripe's customer and its PaymentMethods; ``None`` if they were not read.

    Those of a customer that was deleted are never read: it has none.
    """

    customer: gateway.Customer
    plain: dict[str, Any]
    methods: list[dict[str, Any]] | None = None

    @property
    def is_deleted(self) -> bool:
        return bool(self.plain.get("deleted"))

    @property
    def default_source(self) -> str:
        settings = self.plain.get("invoice_settings") or {}
        default = settings.get("default_payment_method") or self.plain.get("default_source")
        return default or ""


def described_at_stripe(stripe_customer_id: str) -> Description:
    """Read the customer and its PaymentMethods from Stripe."""
    return describe(gateway.retrieve_customer(stripe_customer_id))


def default_at_stripe(stripe_customer_id: str, known: Collection[str]) -> Description:
    """Read the customer from Stripe, and its PaymentMethods only if the default is not known."""
    described = _without_methods(gateway.retrieve_customer(stripe_customer_id))
    is_known = described.default_source in {"", *known}
    return described if is_known else _with_methods(described)


def describe(
    customer: gateway.Customer, methods: Iterable[gateway.PaymentMethod] | None = None
) -> Description:
    """Describe the customer; ``None`` reads its PaymentMethods from Stripe."""
    return _with_methods(_without_methods(customer), methods)


def _without_methods(customer: gateway.Customer) -> Description:
    return Description(customer, gateway.to_json(customer))


def _with_methods(
    described: Description, methods: Iterable[gateway.PaymentMethod] | None = None
) -> Description:
    if described.is_deleted:
        return described
    if methods is None:
        methods = gateway.payment_methods(described.customer.id)
    return replace(described, methods=[gateway.to_json(it) for it in methods])


def values_of(row: StripeCustomer, described: Description) -> dict[str, Any]:
    """Return the values of the row that are Stripe's."""
    plain = described.plain
    if described.is_deleted:
        return {"stripe_response": plain, "is_active": False}
    values = {"stripe_response": plain, "default_source": described.default_source}
    if described.methods is None:
        return values
    listed = {method["id"] for method in described.methods}
    legacy = (plain.get("sources") or {}).get("data", [])
    sources = [*described.methods, *(it for it in legacy if it["id"] not in listed)]
    return {**values, "sources": sources}
