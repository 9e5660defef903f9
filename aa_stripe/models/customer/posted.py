"""Cards that a browser has sent: whether they are the payer's.

A browser names a card by an id of Stripe's, and knowing an id proves nothing. A SetupIntent is
bound to its payer by its metadata, and by its customer if it has one.
https://docs.stripe.com/api/setup_intents/object
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext_lazy as _

from aa_stripe import gateway
from aa_stripe.exceptions import StripeMethodNotAllowed
from aa_stripe.gateway import Meaning
from aa_stripe.settings import stripe_settings

if TYPE_CHECKING:
    from aa_stripe.models.customer.model import StripeCustomer

logger = logging.getLogger("aa-stripe")

#: In the metadata of a SetupIntent: its payer.
PAYER_KEY = "aa_stripe_payer"

#: The same for a card of another payer and for one that does not exist.
REFUSAL = _("This card cannot be used. Please enter it again.")


def payer_metadata(user_id: object) -> dict[str, str]:
    """Return the metadata that binds a SetupIntent to the user with that primary key."""
    return {PAYER_KEY: f"{stripe_settings.user_model.lower()}:{user_id}"}


def require_accepted(customer: StripeCustomer, js_id: str) -> None:
    """Raise ``StripeMethodNotAllowed`` if the id names no payer and must.

    A payment method that the customer has already is always accepted.
    """
    if stripe_settings.ACCEPT_UNBOUND_CARDS is False and js_id not in customer.source_ids:
        raise StripeMethodNotAllowed(REFUSAL)


def retrieve_own_intent(customer: StripeCustomer, intent_id: str) -> gateway.SetupIntent:
    """Return the SetupIntent; raise ``StripeMethodNotAllowed`` unless it is the payer's."""
    intent = gateway.find_setup_intent(intent_id)
    if intent is None or not _is_own(customer, intent):
        logger.info("The SetupIntent for customer %s is unknown or not the payer's.", customer)
        raise StripeMethodNotAllowed(REFUSAL)
    return intent


@contextmanager
def hiding_existence(js_id: str) -> Iterator[None]:
    """Raise the same error for a payment method of another customer and for an unknown one.

    Only errors about the payment method are changed. Stripe names no parameter in some of them.
    """
    try:
        yield
    except gateway.InvalidRequestError as error:
        is_refused = gateway.meaning_of(error) in {Meaning.REFUSED, Meaning.OUTDATED}
        is_about_method = error.param in {None, "payment_method"} or error.http_status == 404
        if not (js_id.startswith("pm_") and is_refused and is_about_method):
            raise
        logger.info("Stripe refused a payment method: %s", error)
        raise StripeMethodNotAllowed(REFUSAL) from error


def _is_own(customer: StripeCustomer, intent: gateway.SetupIntent) -> bool:
    payer = gateway.metadata_of(intent).get(PAYER_KEY)
    is_bound = payer == payer_metadata(customer.user_id)[PAYER_KEY]
    is_accepted = payer is None and stripe_settings.ACCEPT_UNBOUND_CARDS is True
    return (is_bound or is_accepted) and _is_of_own_customer(customer, intent.customer)


def _is_of_own_customer(customer: StripeCustomer, customer_id: Any) -> bool:
    if customer_id in {None, customer.stripe_customer_id}:
        return True
    return customer.of_stripe(customer.user_id, str(customer_id)) is not None
