"""The keys that Stripe's objects had at the time of 0.14, added where an object is stored.

Code and front-ends of that time read them. They are beside Stripe's own keys and replace none.
"""

from __future__ import annotations

from typing import Any

from aa_stripe import gateway

#: The brands of PaymentMethods, as Card objects spell them.
#: https://docs.stripe.com/api/cards/object#card_object-brand
BRANDS = {
    "amex": "American Express",
    "cartes_bancaires": "Cartes Bancaires",
    "diners": "Diners Club",
    "discover": "Discover",
    "eftpos_au": "Eftpos Australia",
    "girocard": "Girocard",
    "jcb": "JCB",
    "mastercard": "MasterCard",
    "unionpay": "UnionPay",
    "unknown": "Unknown",
    "visa": "Visa",
}


def with_card_keys(method: gateway.JSON) -> gateway.JSON:
    """Return a payment method with the keys of a Card object; ``None`` is an unknown value.

    ``object`` stays what it is.
    """
    holder = _part(method, "billing_details") or _part(method, "owner")
    return {**_card_keys(_details(method), holder), **method}


def with_source(charge: gateway.JSON) -> gateway.JSON:
    """Return a charge with ``source``: what was charged, like a Card object."""
    details = _part(charge, "payment_method_details")
    if charge.get("source") or not details:
        return {"source": None, **charge}
    source = {
        "id": charge.get("payment_method"),
        "object": details.get("type"),
        "customer": charge.get("customer"),
        **_card_keys(_details(details), _part(charge, "billing_details")),
    }
    return {**charge, "source": source}


def with_plan_keys(subscription: gateway.JSON) -> gateway.JSON:
    """Return a subscription with the plan, the quantity and the period of its first item."""
    items = _part(subscription, "items").get("data") or [{}]
    keys = ("plan", "quantity", "current_period_start", "current_period_end")
    return {**{key: items[0].get(key) for key in keys}, **subscription}


def _details(method: gateway.JSON) -> gateway.JSON:
    """Return the part that the ``type`` names: ``method["card"]`` of a card."""
    return _part(method, str(method.get("type")))


def _card_keys(details: gateway.JSON, holder: gateway.JSON) -> gateway.JSON:
    brand = details.get("brand")
    return {
        "brand": BRANDS.get(str(brand), brand),
        "country": details.get("country"),
        "exp_month": details.get("exp_month"),
        "exp_year": details.get("exp_year"),
        "fingerprint": details.get("fingerprint"),
        "funding": details.get("funding"),
        "last4": details.get("last4"),
        "name": holder.get("name"),
    }


def _part(value: gateway.JSON, key: str) -> dict[str, Any]:
    part = value.get(key)
    return part if isinstance(part, dict) else {}
