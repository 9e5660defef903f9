"""Saving a card, or another payment method, for a customer: at its creation or later.

https://docs.stripe.com/payments/save-and-reuse
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from aa_stripe import gateway
from aa_stripe.exceptions import StripeMethodNotAllowed
from aa_stripe.models.rows import related

if TYPE_CHECKING:
    from aa_stripe.models.customer.model import StripeCustomer

#: In the metadata of every customer: the ``uuid`` of its row.
UUID_KEY = "aa_stripe_customer_uuid"


def create_with_card(customer: StripeCustomer, description: str | None = None) -> None:
    """Create the customer at Stripe with its card and save the id; nothing else is read yet."""
    if description is None:
        user = related(customer, "user")
        description = f"{user} id: {user.pk}"
    params: gateway.CustomerCreateParams = {
        "description": description,
        "metadata": {UUID_KEY: str(customer.uuid)},
    }
    source = _chargeable(customer, (customer.stripe_js_response or {}).get("id", ""))
    if source.startswith("pm_"):
        params["payment_method"] = source
        params["invoice_settings"] = {"default_payment_method": source}
    elif source:
        params["source"] = source
    created = gateway.create_customer(params, idempotency_key=str(customer.uuid))
    customer.stripe_customer_id = created.id
    customer.is_created_at_stripe = True
    customer.stripe_response = gateway.to_json(created)
    customer.save()


def add_default_card(customer: StripeCustomer, js_id: str) -> None:
    """Attach the card to the customer at Stripe and make it the default; the row is not changed."""
    source = _chargeable(customer, js_id)
    default: gateway.CustomerUpdateParams = {"source": source}
    if source.startswith("pm_"):
        attached = _attach(customer, source)
        default = {"invoice_settings": {"default_payment_method": attached.id}}
    gateway.update_customer(customer.stripe_customer_id, default)


def _chargeable(customer: StripeCustomer, js_id: str) -> str:
    """Return the id of a card token's or SetupIntent's PaymentMethod, any other id unchanged."""
    if js_id.startswith("tok_"):
        key = f"{customer.uuid}-{js_id}"
        return gateway.create_payment_method(js_id, idempotency_key=key).id
    if not js_id.startswith("seti_"):
        return js_id
    intent = gateway.retrieve_setup_intent(js_id)
    if intent.status != "succeeded":
        raise StripeMethodNotAllowed(_("The card was not saved: it is not confirmed yet."))
    return str(intent.payment_method)


def _attach(customer: StripeCustomer, method_id: str) -> gateway.PaymentMethod:
    """Attach the PaymentMethod, unless the customer has it already.

    A SetupIntent attaches it, and so does an earlier attempt whose response was lost.

    Unverified: whether Stripe rejects attaching it to the same customer again.
    """
    try:
        return gateway.attach_payment_method(method_id, customer.stripe_customer_id)
    except gateway.InvalidRequestError:
        method = gateway.retrieve_payment_method(method_id)
        if method.customer != customer.stripe_customer_id:
            raise
        return method
