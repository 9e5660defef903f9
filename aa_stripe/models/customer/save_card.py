"""Saving a card, or another payment method, for a customer: at its creation or later.

https://docs.stripe.com/payments/save-and-reuse
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

from django.utils.translation import gettext_lazy as _

from aa_stripe import gateway
from aa_stripe.exceptions import StripeMethodNotAllowed
from aa_stripe.models.customer.details import UUID_KEY, details_of
from aa_stripe.models.customer.posted import (
    hiding_existence,
    require_accepted,
    retrieve_own_intent,
)
from aa_stripe.models.customer.refresh import noticing_deletion
from aa_stripe.models.erasable import kept
from aa_stripe.models.keys import create_with_new_key
from aa_stripe.models.rows import related
from aa_stripe.models.search import is_of, searched

if TYPE_CHECKING:
    from aa_stripe.models.customer.model import StripeCustomer

logger = logging.getLogger("aa-stripe")


def create_with_card(
    customer: StripeCustomer, description: str | None = None, *, is_trusted: bool = True
) -> None:
    """Create the customer at Stripe with its card and save the id; nothing else is read yet.

    ``is_trusted``: a browser's card is refused unless it is the payer's.
    """
    js_id = _submitted_id(customer)
    with nullcontext() if is_trusted else hiding_existence(js_id):
        created = _created(customer, _chargeable(customer, js_id, is_trusted), description)
    customer.stripe_customer_id = created.id
    customer.is_created_at_stripe = True
    response = {"stripe_response": gateway.to_json(created)}
    customer.stripe_response = kept(customer, response)["stripe_response"]
    customer.save()


def _submitted_id(customer: StripeCustomer) -> str:
    """Return the id in ``stripe_js_response``, which may be the id alone; ``""`` without one."""
    response: Any = customer.stripe_js_response or {}
    return response if isinstance(response, str) else str(response.get("id", ""))


def _created(customer: StripeCustomer, source: str, description: str | None) -> gateway.Customer:
    details = _details(customer, description)
    params = _with_source(details, source)

    def find() -> gateway.Customer | None:
        known = _created_before(customer, source)
        return known and _with_details(customer, known, details)

    known = find() if customer.key_may_be_forgotten() else None
    return known or create_with_new_key(
        customer.uuid, lambda key: _create(customer, params, key), find
    )


def _details(customer: StripeCustomer, description: str | None) -> dict[str, Any]:
    """Return what Stripe is sent about the customer; Stripe rejects an empty text here."""
    user = related(customer, "user")
    if user is None:
        raise StripeMethodNotAllowed("The customer has no user: it was deleted.")
    sent = {name: value for name, value in details_of(user).items() if value != ""}
    return {
        **sent,
        "description": f"{user} id: {user.pk}" if description is None else description,
        "metadata": {**sent.get("metadata", {}), UUID_KEY: str(customer.uuid)},
    }


def _with_source(details: dict[str, Any], source: str) -> dict[str, Any]:
    if not source:
        return details
    if not source.startswith("pm_"):
        return {**details, "source": source}
    invoices = {**details.get("invoice_settings", {}), "default_payment_method": source}
    return {**details, "payment_method": source, "invoice_settings": invoices}


def _create(customer: StripeCustomer, params: dict[str, Any], key: str) -> gateway.Customer:
    def create(accepted: dict[str, Any]) -> gateway.Customer:
        # Other parameters need another key; it is the same whenever the address is not accepted.
        used_key = key if accepted is params else f"{key}-without-email"
        sent = cast("gateway.CustomerCreateParams", accepted)
        return gateway.create_customer(sent, idempotency_key=used_key)

    return _without_refused_email(customer, create, params)


def _with_details(
    customer: StripeCustomer, known: gateway.Customer, details: dict[str, Any]
) -> gateway.Customer:
    """Update the customer of an earlier request: the user may have other details by now."""
    plain = gateway.to_json(known)
    changes = {name: value for name, value in details.items() if plain.get(name) != value}

    def update(accepted: dict[str, Any]) -> gateway.Customer:
        sent = cast("gateway.CustomerUpdateParams", accepted)
        return gateway.update_customer(known.id, sent)

    return _without_refused_email(customer, update, changes) if changes else known


def _without_refused_email(
    customer: StripeCustomer,
    send: Callable[[dict[str, Any]], gateway.Customer],
    params: dict[str, Any],
) -> gateway.Customer:
    """Return ``send(params)``, without the e-mail address if Stripe does not accept it.

    Stripe accepts fewer addresses than Django, and a customer without one can be charged.
    """
    try:
        return send(params)
    except gateway.InvalidRequestError as error:
        if error.code != "email_invalid":
            raise
        logger.warning("Stripe does not accept the e-mail address of customer %s.", customer)
    return send({name: value for name, value in params.items() if name != "email"})


def add_default_card(customer: StripeCustomer, js_id: str, *, is_trusted: bool = True) -> None:
    """Attach the card to the customer at Stripe and make it the default; the row is not changed.

    ``is_trusted`` is that of ``create_with_card``.
    """
    source = _chargeable(customer, js_id, is_trusted)
    with nullcontext() if is_trusted else hiding_existence(js_id), noticing_deletion(customer):
        _make_default(customer.stripe_customer_id, source)


def _make_default(customer_id: str, source: str) -> None:
    default: gateway.CustomerUpdateParams = {"source": source}
    if source.startswith("pm_"):
        attached = _attach(customer_id, source)
        default = {"invoice_settings": {"default_payment_method": attached.id}}
    gateway.update_customer(customer_id, default)


def _created_before(customer: StripeCustomer, source: str) -> gateway.Customer | None:
    """Return the customer that an earlier request has created, with ``source`` as its default.

    That request had other parameters, or its response was an error. The payment method names its
    customer at once; the search finds the customer after a minute. A legacy ``source`` names none,
    and cannot be sent twice, so that a customer who may have another one is not returned.
    """
    if source and not source.startswith("pm_"):
        return None
    method = gateway.find_payment_method(source) if source else None
    if method is not None and method.customer:
        ids = [str(method.customer)]
    else:
        ids = searched(gateway.search_customers, UUID_KEY, customer.uuid) or []
    for known in map(gateway.find_customer, ids):
        if known is not None and is_of(known, UUID_KEY, customer.uuid):
            settings = gateway.to_json(known).get("invoice_settings") or {}
            if source and settings.get("default_payment_method") != source:
                _make_default(known.id, source)
            return known
    return None


def _chargeable(customer: StripeCustomer, js_id: str, is_trusted: bool) -> str:
    """Return the id of a card token's or SetupIntent's PaymentMethod, any other id unchanged."""
    if js_id.startswith("seti_"):
        return _method_of_intent(customer, js_id, is_trusted)
    if not is_trusted:
        require_accepted(customer, js_id)
    if js_id.startswith("tok_"):
        return create_with_new_key(
            f"{customer.uuid}-{js_id}",
            lambda key: gateway.create_payment_method(js_id, idempotency_key=key),
        ).id
    return js_id


def _method_of_intent(customer: StripeCustomer, intent_id: str, is_trusted: bool) -> str:
    if is_trusted:
        intent = gateway.retrieve_setup_intent(intent_id)
    else:
        intent = retrieve_own_intent(customer, intent_id)
    if intent.status != "succeeded":
        raise StripeMethodNotAllowed(_("The card was not saved: it is not confirmed yet."))
    return str(intent.payment_method)


def _attach(customer_id: str, method_id: str) -> gateway.PaymentMethod:
    """Attach the PaymentMethod, unless the customer has it already.

    A SetupIntent attaches it, and so does an earlier attempt whose response was lost.

    Unverified: whether Stripe rejects attaching it to the same customer again.
    """
    try:
        return gateway.attach_payment_method(method_id, customer_id)
    except gateway.InvalidRequestError:
        method = gateway.retrieve_payment_method(method_id)
        if method.customer != customer_id:
            raise
        return method
