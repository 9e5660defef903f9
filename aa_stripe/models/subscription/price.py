"""The price of a subscription at Stripe, and the plan that stands for it here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aa_stripe import gateway
from aa_stripe.models.plan import StripeSubscriptionPlan
from aa_stripe.models.rows import related, stored

if TYPE_CHECKING:
    from aa_stripe.models.subscription.model import StripeSubscription


def price_id_of(described: gateway.JSON) -> str:
    """Return the id of the price of the subscription's first item, ``""`` if it has none.

    Stripe shows a plan as a price, too, with the same id.
    """
    items = (described.get("items") or {}).get("data") or [{}]
    price = items[0].get("price") or items[0].get("plan") or {}
    return str(price.get("id") or "")


def plan_of(row: StripeSubscription, price_id: str) -> dict[str, Any]:
    """Return the value of the row's ``plan_id``; none if no plan stands for the price."""
    if not price_id:
        return {}
    plan = related(row, "plan")
    if plan is not None and plan.price_id == price_id:
        return {"plan_id": row.plan_id}
    known = stored(StripeSubscriptionPlan).filter(stripe_plan_id=price_id)
    plan_id = known.order_by("pk").values_list("pk", flat=True).first()
    return {} if plan_id is None else {"plan_id": plan_id}
