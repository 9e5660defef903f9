"""The one door to Stripe: how it is called. What is said to it, the models decide.

Only this module (and ``aa_stripe.testing``) imports ``stripe``. Its functions take the SDK's
typed parameters and return the SDK's objects; ``to_json`` makes of one what a column can hold.
"""

from __future__ import annotations

import copy
import enum
import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

import stripe
from stripe import (
    CardError,
    Charge,
    Coupon,
    Customer,
    Event,
    IdempotencyError,
    InvalidRequestError,
    PaymentIntent,
    PaymentMethod,
    Plan,
    Refund,
    SetupIntent,
    StripeError,
    StripeObject,
    Subscription,
    TaxRate,
)
from stripe.params import (
    CouponCreateParams,
    CouponUpdateParams,
    CustomerCreateParams,
    CustomerListParams,
    CustomerUpdateParams,
    EventListParams,
    PaymentIntentConfirmParams,
    PaymentIntentCreateParams,
    PaymentIntentListParams,
    PaymentIntentUpdateParams,
    PlanCreateParams,
    RefundCreateParams,
    SetupIntentCreateParams,
    SubscriptionCreateParams,
    SubscriptionUpdateParams,
    TaxRateCreateParams,
)

from aa_stripe.settings import stripe_settings

if TYPE_CHECKING:
    from stripe import RequestOptions, StripeClient

__all__ = [
    "CardError",
    "Charge",
    "Coupon",
    "CouponCreateParams",
    "CouponUpdateParams",
    "Customer",
    "CustomerCreateParams",
    "CustomerUpdateParams",
    "Event",
    "IdempotencyError",
    "InvalidRequestError",
    "Meaning",
    "PaymentIntent",
    "PaymentIntentConfirmParams",
    "PaymentIntentCreateParams",
    "PaymentIntentUpdateParams",
    "PaymentMethod",
    "Plan",
    "PlanCreateParams",
    "Refund",
    "RefundCreateParams",
    "SetupIntent",
    "SetupIntentCreateParams",
    "StripeError",
    "StripeObject",
    "Subscription",
    "SubscriptionCreateParams",
    "SubscriptionUpdateParams",
    "TaxRate",
    "TaxRateCreateParams",
]

#: Every call goes through this client of the SDK's when it is set (by ``aa_stripe.testing``).
http_client: stripe.HTTPClient | None = None

#: The most that a list answers at once. https://docs.stripe.com/api/pagination
PAGE_SIZE = 100

#: The most types that the list of events takes. https://docs.stripe.com/api/events/list
MAX_EVENT_TYPES = 20

#: Seconds after which a signature is not accepted any more: somebody may have kept the request to
#: send it again. https://docs.stripe.com/webhooks#replay-attacks
SIGNATURE_TOLERANCE = 300

# Secret (sk) and restricted (rk) keys; organizations have sk_org_live_... ones.
_LIVE_KEY = re.compile(r"(sk|rk)_(org_)?live_")

#: Called before each request of this context, by ``before_each_request``.
_wait: ContextVar[Callable[[], None] | None] = ContextVar("aa_stripe_wait", default=None)

#: Whoever has a client secret can pay or confirm as the customer, so none is ever stored; the
#: addresses in a ``next_action`` may hold one.
SECRET_KEYS = frozenset({"client_secret", "next_action"})


def configure_sdk() -> None:
    """Let a project's own ``stripe.Customer.create(...)`` work, unless it has set up the SDK."""
    if stripe.api_key is None and stripe_settings.API_KEY:
        stripe.api_key = stripe_settings.API_KEY
    if stripe.api_base == stripe.DEFAULT_API_BASE and stripe_settings.API_BASE:
        stripe.api_base = stripe_settings.API_BASE


# What Stripe's errors mean


class Meaning(enum.Enum):
    """What one of the SDK's errors says about the request it answers."""

    #: The card was refused (402).
    DECLINED = "declined"
    #: The request was refused for what it says (400); sent again it is refused again.
    REFUSED = "refused"
    #: The object is not in the state that the request took it to be in: read it again.
    OUTDATED = "outdated"
    #: No answer, or none that says whether the request took effect.
    UNKNOWN = "unknown"
    #: Our key or its rights (401, 403).
    MISCONFIGURED = "misconfigured"


def meaning_of(error: StripeError) -> Meaning:
    """Classify ``error``; what is not recognised counts as ``UNKNOWN``.

    https://docs.stripe.com/error-low-level
    """
    if isinstance(error, stripe.CardError):
        return Meaning.DECLINED
    if isinstance(error, (stripe.AuthenticationError, stripe.PermissionError)):
        return Meaning.MISCONFIGURED
    if isinstance(error, stripe.IdempotencyError):
        return Meaning.OUTDATED
    if not isinstance(error, stripe.InvalidRequestError):
        return Meaning.UNKNOWN
    if is_unexpected_state(error) or error.http_status == 404:
        return Meaning.OUTDATED
    return Meaning.REFUSED if error.http_status == 400 else Meaning.UNKNOWN


def is_unexpected_state(error: StripeError) -> bool:
    """Whether Stripe refused because of the state that the payment intent is in."""
    return error.code == "payment_intent_unexpected_state"


def lacks_payment_method(error: StripeError) -> bool:
    """Whether that state is that there is nothing to pay with."""
    intent = error_body(error).get("error", {}).get("payment_intent") or {}
    return is_unexpected_state(error) and intent.get("status") == "requires_payment_method"


def error_body(error: StripeError) -> dict[str, Any]:
    """The body of Stripe's error answer as plain JSON, ``{}`` when there was none."""
    body = error.json_body
    return without_secrets(body) if isinstance(body, dict) else {}


def error_code(error: StripeError) -> str:
    """Stripe's code of the failure; where it gives none, the error's type."""
    answered = error_body(error).get("error", {})
    return str(error.code or answered.get("code") or answered.get("type") or "")


def displayable_message(error: StripeError) -> str:
    """The text that Stripe wrote for people, ``""`` when it wrote none."""
    return str(error.user_message or "")


def declined_as(failure: StripeObject) -> CardError:
    """The error that Stripe answered with, made again from an intent's ``last_payment_error``."""
    return _card_error(to_json(failure))


def needs_authentication(intent: PaymentIntent) -> CardError:
    """The error that stands for an intent that waits for its customer.

    Unverified: that an off-session confirmation is ever answered with ``requires_action``. What
    is known is a decline with the code that is used here.
    """
    return _card_error(
        {
            "type": "card_error",
            "code": "authentication_required",
            "message": "This payment requires authentication.",
            "payment_intent": to_json(intent),
        }
    )


def canceled_at_stripe(intent: PaymentIntent) -> InvalidRequestError:
    """The error that stands for an intent that somebody else has canceled."""
    answered = {
        "type": "invalid_request_error",
        "code": "canceled",
        "message": "The payment was canceled at Stripe.",
        "payment_intent": to_json(intent),
    }
    return stripe.InvalidRequestError(  # type: ignore[no-untyped-call]
        answered["message"],
        param=None,
        code=answered["code"],
        http_status=400,
        json_body={"error": answered},
    )


def _card_error(answered: dict[str, Any]) -> CardError:
    return stripe.CardError(  # type: ignore[no-untyped-call]
        answered.get("message"),
        param=answered.get("param"),
        code=answered.get("code"),
        http_status=402,
        json_body={"error": answered},
    )


# Plain JSON


def metadata_of(stripe_object: StripeObject) -> dict[str, str]:
    """The object's metadata, ``{}`` when it has none."""
    return to_json(stripe_object).get("metadata") or {}


def to_json(stripe_object: StripeObject) -> dict[str, Any]:
    """``stripe_object`` in JSON's own types, without the secrets that open it to a browser.

    The SDK's ``to_dict()`` leaves ``Decimal``s, which a ``JSONField`` refuses; they become text.
    """
    plain = json.loads(json.dumps(stripe_object.to_dict(), default=str))
    return cast("dict[str, Any]", without_secrets(plain))


def without_secrets(value: Any) -> Any:
    """``value`` with every client secret left out, however deep."""
    if isinstance(value, Mapping):
        return {key: without_secrets(item) for key, item in value.items() if key not in SECRET_KEYS}
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    return value


# Payment intents: https://docs.stripe.com/api/payment_intents


def create_payment_intent(
    params: PaymentIntentCreateParams, *, idempotency_key: str
) -> PaymentIntent:
    """Create an intent without confirming it.

    A repeated key is answered with what was true then; what is true now is read in that case.
    """
    intent = _client().v1.payment_intents.create(params, _key(idempotency_key))
    return retrieve_payment_intent(intent.id) if _is_replayed(intent) else intent


def retrieve_payment_intent(intent_id: str) -> PaymentIntent:
    """The intent, its latest charge expanded."""
    return _client().v1.payment_intents.retrieve(intent_id, {"expand": ["latest_charge"]})


def update_payment_intent(intent_id: str, params: PaymentIntentUpdateParams) -> PaymentIntent:
    return _client().v1.payment_intents.update(intent_id, params)


def confirm_payment_intent(intent_id: str, params: PaymentIntentConfirmParams) -> PaymentIntent:
    """Confirm off session; the answer has the latest charge expanded."""
    confirmation: PaymentIntentConfirmParams = {
        "off_session": True,
        "expand": ["latest_charge"],
        **params,
    }
    return _client().v1.payment_intents.confirm(intent_id, confirmation)


def cancel_payment_intent(intent_id: str) -> PaymentIntent:
    return _client().v1.payment_intents.cancel(intent_id)


def payment_intents(customer_id: str, created_since: int) -> Iterator[PaymentIntent]:
    """Every intent of the customer since ``created_since`` (Unix time), newest first."""
    params: PaymentIntentListParams = {
        "customer": customer_id,
        "created": {"gte": created_since},
        "limit": PAGE_SIZE,
        "expand": ["data.latest_charge"],
    }
    return _client().v1.payment_intents.list(params).auto_paging_iter()


# Charges and refunds: https://docs.stripe.com/api/refunds


def retrieve_charge(charge_id: str) -> Charge:
    return _client().v1.charges.retrieve(charge_id)


def create_refund(params: RefundCreateParams, *, idempotency_key: str) -> Refund:
    return _client().v1.refunds.create(params, _key(idempotency_key))


def refunds(charge_id: str) -> Iterator[Refund]:
    """Every refund of the charge, newest first."""
    listing = _client().v1.refunds.list({"charge": charge_id, "limit": PAGE_SIZE})
    return listing.auto_paging_iter()


# Customers and what they pay with: https://docs.stripe.com/api/customers


def create_customer(params: CustomerCreateParams, *, idempotency_key: str) -> Customer:
    return _client().v1.customers.create(params, _key(idempotency_key))


def retrieve_customer(customer_id: str) -> Customer:
    """The customer, its legacy sources expanded (Stripe leaves them out otherwise)."""
    return _client().v1.customers.retrieve(customer_id, {"expand": ["sources"]})


def update_customer(customer_id: str, params: CustomerUpdateParams) -> Customer:
    return _client().v1.customers.update(customer_id, params)


def customers() -> Iterator[Customer]:
    """Every customer of the account, newest first, legacy sources expanded."""
    params: CustomerListParams = {"limit": PAGE_SIZE, "expand": ["data.sources"]}
    return _client().v1.customers.list(params).auto_paging_iter()


def payment_methods(customer_id: str) -> Iterator[PaymentMethod]:
    """Everything saved for the customer, of every type."""
    listing = _client().v1.customers.payment_methods.list(customer_id, {"limit": PAGE_SIZE})
    return listing.auto_paging_iter()


def create_payment_method(card_token: str, *, idempotency_key: str) -> PaymentMethod:
    """Turn a card token of an old front-end into a PaymentMethod."""
    return _client().v1.payment_methods.create(
        {"type": "card", "card": {"token": card_token}}, _key(idempotency_key)
    )


def attach_payment_method(payment_method_id: str, customer_id: str) -> PaymentMethod:
    return _client().v1.payment_methods.attach(payment_method_id, {"customer": customer_id})


def create_setup_intent(params: SetupIntentCreateParams) -> SetupIntent:
    return _client().v1.setup_intents.create(params)


def retrieve_setup_intent(intent_id: str) -> SetupIntent:
    return _client().v1.setup_intents.retrieve(intent_id)


def retrieve_payment_method(payment_method_id: str) -> PaymentMethod:
    return _client().v1.payment_methods.retrieve(payment_method_id)


# Plans and subscriptions: https://docs.stripe.com/api/subscriptions


def create_plan(params: PlanCreateParams, *, idempotency_key: str) -> Plan:
    return _client().v1.plans.create(params, _key(idempotency_key))


def retrieve_plan(plan_id: str) -> Plan:
    return _client().v1.plans.retrieve(plan_id)


def create_subscription(params: SubscriptionCreateParams, *, idempotency_key: str) -> Subscription:
    """Subscribe; a repeated key answers with the subscription as it is now."""
    subscription = _client().v1.subscriptions.create(params, _key(idempotency_key))
    is_old_news = _is_replayed(subscription)
    return retrieve_subscription(subscription.id) if is_old_news else subscription


def retrieve_subscription(subscription_id: str) -> Subscription:
    return _client().v1.subscriptions.retrieve(subscription_id)


def update_subscription(subscription_id: str, params: SubscriptionUpdateParams) -> Subscription:
    return _client().v1.subscriptions.update(subscription_id, params)


def cancel_subscription(subscription_id: str) -> Subscription:
    return _client().v1.subscriptions.cancel(subscription_id)


def subscriptions(customer_id: str) -> Iterator[Subscription]:
    """Every subscription the customer ever had, newest first, those that ended included."""
    listing = _client().v1.subscriptions.list(
        {"customer": customer_id, "status": "all", "limit": PAGE_SIZE}
    )
    return listing.auto_paging_iter()


def create_tax_rate(params: TaxRateCreateParams, *, idempotency_key: str) -> TaxRate:
    return _client().v1.tax_rates.create(params, _key(idempotency_key))


def tax_rates() -> Iterator[TaxRate]:
    """Every tax rate in use that comes on top of the price."""
    listing = _client().v1.tax_rates.list({"active": True, "inclusive": False, "limit": PAGE_SIZE})
    return listing.auto_paging_iter()


# Coupons: https://docs.stripe.com/api/coupons
#
# Unverified: that Stripe reads the "+" which the SDK writes for a space in a path as a space. It
# creates no such ids any more (since API version 2018-05-21), but keeps those of old.


def create_coupon(params: CouponCreateParams, *, idempotency_key: str) -> Coupon:
    """Create a coupon; a repeated key answers with the coupon as it is now."""
    coupon = _client().v1.coupons.create(params, _key(idempotency_key))
    return retrieve_coupon(coupon.id) if _is_replayed(coupon) else coupon


def retrieve_coupon(coupon_id: str) -> Coupon:
    """The coupon; an id that Stripe does not know raises ``InvalidRequestError`` with 404."""
    return _client().v1.coupons.retrieve(coupon_id)


def find_coupon(coupon_id: str) -> Coupon | None:
    """The coupon; ``None`` when Stripe does not know the id, or not any more."""
    try:
        return retrieve_coupon(coupon_id)
    except InvalidRequestError as error:
        if error.http_status != 404:
            raise
        return None


def update_coupon(coupon_id: str, params: CouponUpdateParams) -> Coupon:
    return _client().v1.coupons.update(coupon_id, params)


def delete_coupon(coupon_id: str) -> None:
    """Delete the coupon. Who has it already keeps the discount."""
    _client().v1.coupons.delete(coupon_id)


def coupons() -> Iterator[Coupon]:
    """Every coupon of the account's mode, newest first."""
    return _client().v1.coupons.list({"limit": PAGE_SIZE}).auto_paging_iter()


# Events and their signatures: https://docs.stripe.com/webhooks


def is_signed(body: str, signature: str, secrets: Sequence[str]) -> bool:
    """Whether ``signature`` (the header) is one of Stripe's for ``body``, and not an old one.

    ``secrets`` are those that the endpoint has at the moment, of which an empty one signs
    nothing.
    """
    # The SDK compares texts, which Python refuses for those beyond ASCII.
    return signature.isascii() and any(_is_signed_with(body, signature, it) for it in secrets)


def _is_signed_with(body: str, signature: str, secret: str) -> bool:
    if not secret.strip():
        return False
    try:
        stripe.WebhookSignature.verify_header(body, signature, secret, SIGNATURE_TOLERANCE)
    except stripe.SignatureVerificationError:
        return False
    return True


def retrieve_event(event_id: str) -> Event:
    """The event as it was rendered when it happened; Stripe keeps it for thirty days."""
    return _client().v1.events.retrieve(event_id)


def events(since: int, until: int, types: Sequence[str] = ()) -> Iterator[Event]:
    """Every event from ``since`` to ``until`` (Unix time), newest first.

    ``types`` are at most ``MAX_EVENT_TYPES``; none stands for all there are.
    """
    params: EventListParams = {"created": {"gte": since, "lte": until}, "limit": PAGE_SIZE}
    if types:
        params["types"] = list(types)
    return _client().v1.events.list(params).auto_paging_iter()


# How it is called


def is_live() -> bool:
    """Whether the API key is one of live mode; what it sees is apart from test mode's."""
    return bool(_LIVE_KEY.match(str(stripe_settings.API_KEY)))


@contextmanager
def before_each_request(wait: Callable[[], None]) -> Iterator[None]:
    """Within the block ``wait()`` is called before each request that is sent to Stripe.

    Pages of a list, and the SDK's own second tries, are requests too. A thread that is started
    inside the block is outside of it, unless it runs in a copy of the context.
    """
    token = _wait.set(wait)
    try:
        yield
    finally:
        _wait.reset(token)


def _client() -> StripeClient:
    """A client of today's settings; the connections behind it are kept."""
    if not stripe_settings.API_KEY:
        raise stripe.AuthenticationError("No API key: set STRIPE_API_KEY.")
    sender = http_client or _requests_client(stripe_settings.TIMEOUT)
    wait = _wait.get()
    options: dict[str, Any] = {
        "stripe_version": stripe_settings.API_VERSION,
        "max_network_retries": stripe_settings.MAX_NETWORK_RETRIES,
        "http_client": _after(wait, sender) if wait else sender,
    }
    if stripe_settings.API_BASE:
        options["base_addresses"] = {"api": stripe_settings.API_BASE}
    return stripe.StripeClient(stripe_settings.API_KEY, **options)


@functools.cache
def _requests_client(timeout: float) -> stripe.RequestsClient:
    return stripe.RequestsClient(timeout=timeout)


def _after(wait: Callable[[], None], sender: stripe.HTTPClient) -> stripe.HTTPClient:
    """``sender``, its connections and its ways, sending each request after ``wait()``."""

    def request(*args: Any, **options: Any) -> tuple[str, int, Mapping[str, str]]:
        wait()
        return sender.request(*args, **options)

    waiting = copy.copy(sender)
    waiting.request = request  # type: ignore[method-assign]
    return waiting


def _is_replayed(answer: StripeObject) -> bool:
    """Whether ``answer`` is the stored one of an earlier request with the same key."""
    headers = answer.last_response.headers if answer.last_response else {}
    return {name.lower(): value for name, value in headers.items()}.get(
        "idempotent-replayed"
    ) == "true"


def _key(idempotency_key: str) -> RequestOptions:
    return {"idempotency_key": idempotency_key}
