"""The only module that calls Stripe. Models decide what to send; this module decides how.

Besides ``aa_stripe.testing``, only this module imports ``stripe``. Its functions take the SDK's
typed parameters and return the SDK's objects; ``to_json`` converts an object for a JSON column.
"""

from __future__ import annotations

import copy
import enum
import functools
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast
from urllib.parse import quote

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
    CouponListParams,
    CouponUpdateParams,
    CustomerCreateParams,
    CustomerListParams,
    CustomerUpdateParams,
    EventListParams,
    InvoicePaymentListParams,
    PaymentIntentConfirmParams,
    PaymentIntentCreateParams,
    PaymentIntentListParams,
    PaymentIntentUpdateParams,
    PlanCreateParams,
    RefundCreateParams,
    SetupIntentCreateParams,
    SubscriptionCreateParams,
    SubscriptionListParams,
    SubscriptionUpdateParams,
    TaxRateCreateParams,
)

from aa_stripe.exceptions import StripeWrongAccount
from aa_stripe.settings import stripe_settings
from aa_stripe.utils import storable_json, storable_text

if TYPE_CHECKING:
    from stripe import RequestOptions, StripeClient

__all__ = [
    "JSON",
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
    "Response",
    "Send",
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

T = TypeVar("T")

#: One of Stripe's objects as plain JSON.
JSON: TypeAlias = dict[str, Any]

#: The body, the status and the headers of an HTTP response, as the SDK's clients return them.
Response: TypeAlias = tuple[Any, int, Mapping[str, str]]

#: A function that sends one request.
Send: TypeAlias = Callable[[], Response]

#: The HTTP client for all calls, if not the SDK's default; ``aa_stripe.testing`` sets it.
http_client: stripe.HTTPClient | None = None

#: Maximum number of objects on a page of a list. https://docs.stripe.com/api/pagination
PAGE_SIZE = 100

#: Maximum number of types when events are listed. https://docs.stripe.com/api/events/list
MAX_EVENT_TYPES = 20

#: Seconds for which a signature is valid, to prevent replay attacks.
#: https://docs.stripe.com/webhooks#replay-attacks
SIGNATURE_TOLERANCE = 300

#: Codes of errors about our own account or key, which every row would get.
#: https://docs.stripe.com/error-codes
OUR_ACCOUNT = frozenset(
    {
        "account_country_invalid_address",
        "account_error_country_change_requires_additional_steps",
        "account_information_mismatch",
        "account_invalid",
        "api_key_expired",
        "livemode_mismatch",
        "platform_account_required",
        "platform_api_key_expired",
        "secret_key_required",
        "testmode_charges_only",
        "tls_version_unsupported",
    }
)

# The time in the header Stripe-Signature, in seconds since 1970.
_SIGNED_AT = re.compile(r"(?:^|,)t=([^=,]*)")

# Secret (sk) and restricted (rk) keys; those of organizations begin with sk_org_live_.
_LIVE_KEY = re.compile(r"(sk|rk)_(org_)?live_")

#: Sends each request of this context; set by ``around_each_request``.
_around: ContextVar[Callable[[Send], Response] | None] = ContextVar(
    "aa_stripe_around", default=None
)

#: Our own header in the response to a request that was sent before and may have taken effect.
_REPEATED = "aa-stripe-repeated"

#: A client secret allows paying or confirming as the customer, so it is never stored. The URLs
#: in ``next_action`` may contain one.
SECRET_KEYS = frozenset({"client_secret", "next_action"})


def configure_sdk() -> None:
    """Set up the SDK for direct use by the project, such as ``stripe.Customer.create(...)``.

    Values that the project has set are kept.
    """
    if stripe.api_key is None and stripe_settings.API_KEY:
        stripe.api_key = stripe_settings.API_KEY
    if stripe.api_base == stripe.DEFAULT_API_BASE and stripe_settings.API_BASE:
        stripe.api_base = stripe_settings.API_BASE


# What Stripe's errors mean


class Meaning(enum.Enum):
    """The meaning of an SDK error for the request that failed."""

    #: The card was declined (402).
    DECLINED = "declined"
    #: The request was refused for its content (400); a retry would be refused as well.
    REFUSED = "refused"
    #: The object has changed, so that the request does not fit its state: read it again.
    OUTDATED = "outdated"
    #: No response, or one that does not say whether the request took effect.
    UNKNOWN = "unknown"
    #: The API key was rejected or lacks a permission (401, 403), or our account or the API version
    #: does not allow any such request.
    MISCONFIGURED = "misconfigured"


def meaning_of(error: StripeError) -> Meaning:
    """Return the meaning of ``error``; an unrecognized error is ``UNKNOWN``.

    So is an error in response to a repeated request whose first copy may have taken effect.

    https://docs.stripe.com/error-low-level
    """
    if isinstance(error, stripe.CardError):
        return Meaning.DECLINED
    if _REPEATED in (error.headers or {}):
        return Meaning.UNKNOWN
    if isinstance(error, (stripe.AuthenticationError, stripe.PermissionError)):
        return Meaning.MISCONFIGURED
    if isinstance(error, stripe.IdempotencyError):
        return Meaning.OUTDATED
    if not isinstance(error, stripe.InvalidRequestError):
        return Meaning.UNKNOWN
    if _is_about_our_account(error):
        return Meaning.MISCONFIGURED
    if is_unexpected_state(error) or error.http_status == 404:
        return Meaning.OUTDATED
    return Meaning.REFUSED if error.http_status == 400 else Meaning.UNKNOWN


def _is_about_our_account(error: InvalidRequestError) -> bool:
    """Return whether the request was refused for our account, key or API version.

    Unverified: the status and the type of the error for an unknown API version. Only its message
    is known. https://github.com/stripe/stripe-java/issues/682
    """
    if error.code in OUR_ACCOUNT:
        return True
    return str(error.user_message or "").startswith("Invalid Stripe API version")


def is_unexpected_state(error: StripeError) -> bool:
    """Return whether Stripe rejected the request because of the payment intent's state."""
    return error.code == "payment_intent_unexpected_state"


def is_about_our_key(error: BaseException | None) -> bool:
    """Return whether the error is about our API key or account, so that any row would get it."""
    return isinstance(error, StripeWrongAccount) or (
        isinstance(error, StripeError) and meaning_of(error) is Meaning.MISCONFIGURED
    )


def is_replayed(error: StripeError) -> bool:
    """Return whether the error is what Stripe has stored for the idempotency key."""
    return _is_replay(error.headers or {})


def is_used_key(error: StripeError) -> bool:
    """Return whether the idempotency key is used up: for an error, or for other parameters."""
    return isinstance(error, IdempotencyError) or is_replayed(error)


def lacks_payment_method(error: StripeError) -> bool:
    """Return whether Stripe rejected the request because the intent has no payment method."""
    intent = error_body(error).get("error", {}).get("payment_intent") or {}
    return is_unexpected_state(error) and intent.get("status") == "requires_payment_method"


def lacks_default_payment_method(error: StripeError) -> bool:
    """Return whether Stripe rejected a subscription because its customer has no default.

    Such an error names no parameter, unlike one about an unknown customer, price or coupon.
    """
    names_none = getattr(error, "param", None) is None
    return error.http_status == 400 and error.code == "resource_missing" and names_none


def is_failed_payment(error: StripeError) -> bool:
    """Return whether Stripe declined the payment, or rejected the request for what it said."""
    is_refused = meaning_of(error) in {Meaning.DECLINED, Meaning.REFUSED}
    return is_refused or lacks_payment_method(error)


def error_body(error: StripeError) -> dict[str, Any]:
    """Return the body of Stripe's error response as storable JSON; ``{}`` without a JSON object."""
    body = error.json_body
    return cast("dict[str, Any]", storable(body)) if isinstance(body, dict) else {}


def error_code(error: StripeError) -> str:
    """Return Stripe's code of the error, or its type if it has no code."""
    body = error_body(error).get("error", {})
    return storable_text(str(error.code or body.get("code") or body.get("type") or ""))


def displayable_message(error: StripeError) -> str:
    """Return Stripe's message for the user, ``""`` if there is none."""
    return str(error.user_message or "")


def declined_as(failure: StripeObject) -> CardError:
    """Return the error that Stripe raised, rebuilt from an intent's ``last_payment_error``."""
    return _card_error(to_json(failure))


def needs_authentication(intent: PaymentIntent) -> CardError:
    """Return the error for an intent that waits for the customer's authentication.

    Unverified: that an off-session confirmation ever results in ``requires_action``. The known
    result is a decline with the code that is used here.
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
    """Return the error for an intent that was canceled at Stripe, not by us."""
    body = {
        "type": "invalid_request_error",
        "code": "canceled",
        "message": "The payment was canceled at Stripe.",
        "payment_intent": to_json(intent),
    }
    return stripe.InvalidRequestError(  # type: ignore[no-untyped-call]
        body["message"],
        param=None,
        code=body["code"],
        http_status=400,
        json_body={"error": body},
    )


def _card_error(body: dict[str, Any]) -> CardError:
    return stripe.CardError(  # type: ignore[no-untyped-call]
        body.get("message"),
        param=body.get("param"),
        code=body.get("code"),
        http_status=402,
        json_body={"error": body},
    )


# Plain JSON


def metadata_of(stripe_object: StripeObject) -> dict[str, str]:
    """Return the object's metadata, ``{}`` if it has none."""
    metadata = getattr(stripe_object, "metadata", None)
    return to_json(metadata) if metadata else {}


def to_json(stripe_object: StripeObject) -> dict[str, Any]:
    """Convert ``stripe_object`` to JSON that every database stores, without client secrets.

    The SDK's ``to_dict()`` keeps ``Decimal``s, which a ``JSONField`` rejects; they become text.
    ``storable_json`` escapes characters that PostgreSQL rejects.
    """
    plain = json.loads(json.dumps(stripe_object.to_dict(), default=str))
    return cast("dict[str, Any]", storable(plain))


def storable(value: Any, levels: int = sys.maxsize) -> Any:
    """Return JSON data as it is stored: see ``storable_json``, and without client secrets.

    Raises ``TooDeep`` if more than ``levels`` lists and objects are nested.
    """
    return storable_json(value, without=SECRET_KEYS, levels=levels)


def without_secrets(value: Any) -> Any:
    """Return a copy of ``value`` without client secrets, at any depth."""
    if isinstance(value, Mapping):
        return {key: without_secrets(item) for key, item in value.items() if key not in SECRET_KEYS}
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    return value


# Payment intents: https://docs.stripe.com/api/payment_intents


def create_payment_intent(
    params: PaymentIntentCreateParams, *, idempotency_key: str
) -> PaymentIntent:
    """Create an intent without confirming it; for a repeated key return it as it is now."""
    intent = _client().v1.payment_intents.create(params, _key(idempotency_key))
    return retrieve_payment_intent(intent.id) if _is_replayed(intent) else intent


def retrieve_payment_intent(intent_id: str) -> PaymentIntent:
    """Return the intent, with its latest charge expanded."""
    return _client().v1.payment_intents.retrieve(intent_id, {"expand": ["latest_charge"]})


def update_payment_intent(intent_id: str, params: PaymentIntentUpdateParams) -> PaymentIntent:
    return _client().v1.payment_intents.update(intent_id, params)


def confirm_payment_intent(
    intent_id: str, params: PaymentIntentConfirmParams, *, idempotency_key: str
) -> PaymentIntent:
    """Confirm off session; return the intent with its latest charge expanded, as it is now."""
    confirmation: PaymentIntentConfirmParams = {
        "off_session": True,
        "expand": ["latest_charge"],
        **params,
    }
    intent = _client().v1.payment_intents.confirm(intent_id, confirmation, _key(idempotency_key))
    return retrieve_payment_intent(intent_id) if _is_replayed(intent) else intent


def cancel_payment_intent(intent_id: str) -> PaymentIntent:
    return _client().v1.payment_intents.cancel(intent_id)


def payment_intents(customer_id: str, created_since: int) -> Iterator[PaymentIntent]:
    """List the customer's intents since ``created_since`` (Unix time), newest first."""
    params: PaymentIntentListParams = {
        "customer": customer_id,
        "created": {"gte": created_since},
        "limit": PAGE_SIZE,
        "expand": ["data.latest_charge"],
    }
    return _client().v1.payment_intents.list(params).auto_paging_iter()


def search_payment_intents(metadata_key: str, value: str) -> Iterator[str]:
    """Yield the ids of the intents of all customers with ``value`` in their metadata."""
    return _searched(_client().v1.payment_intents.search, metadata_key, value)


def _searched(search: Callable[..., Any], metadata_key: str, value: str) -> Iterator[str]:
    """Yield the ids of the objects with ``value`` in their metadata.

    The search finds a new object after about a minute, and shows its status as it was then.
    https://docs.stripe.com/search#data-freshness
    """
    query = {"query": f"metadata['{metadata_key}']:'{value}'", "limit": PAGE_SIZE}
    for found in search(query).auto_paging_iter():
        yield found.id


# Charges and refunds: https://docs.stripe.com/api/refunds


def retrieve_charge(charge_id: str) -> Charge:
    return _client().v1.charges.retrieve(charge_id)


def create_refund(params: RefundCreateParams, *, idempotency_key: str) -> Refund:
    return _client().v1.refunds.create(params, _key(idempotency_key))


def refunds(charge_id: str) -> Iterator[Refund]:
    """List the refunds of the charge, newest first."""
    listing = _client().v1.refunds.list({"charge": charge_id, "limit": PAGE_SIZE})
    return listing.auto_paging_iter()


# Customers and payment methods: https://docs.stripe.com/api/customers


def create_customer(params: CustomerCreateParams, *, idempotency_key: str) -> Customer:
    return _client().v1.customers.create(params, _key(idempotency_key))


def retrieve_customer(customer_id: str) -> Customer:
    """Return the customer, with legacy sources expanded (Stripe omits them otherwise)."""
    return _client().v1.customers.retrieve(customer_id, {"expand": ["sources"]})


def find_customer(customer_id: str) -> Customer | None:
    """Return the customer, or ``None`` if no customer of the key's account and mode has the id.

    A deleted customer is returned, with ``deleted``.
    """
    return _found(retrieve_customer, customer_id)


def search_customers(metadata_key: str, value: str) -> Iterator[str]:
    """Yield the ids of the customers with ``value`` in their metadata."""
    return _searched(_client().v1.customers.search, metadata_key, value)


def update_customer(customer_id: str, params: CustomerUpdateParams) -> Customer:
    return _client().v1.customers.update(customer_id, params)


def customers() -> Iterator[JSON]:
    """List the customers of the account, newest first, with legacy sources expanded."""
    params: CustomerListParams = {"limit": PAGE_SIZE, "expand": ["data.sources"]}
    return _listed("/v1/customers", params)


def delete_customer(customer_id: str) -> None:
    """Delete the customer; Stripe cancels its subscriptions. No error if it is deleted already."""
    try:
        _client().v1.customers.delete(customer_id)
    except InvalidRequestError as error:
        if error.http_status != 404:
            raise


def payment_methods(customer_id: str) -> Iterator[JSON]:
    """List the customer's saved payment methods, of every type."""
    path = f"/v1/customers/{quote(customer_id, safe='')}/payment_methods"
    return _listed(path, {"limit": PAGE_SIZE})


def create_payment_method(card_token: str, *, idempotency_key: str) -> PaymentMethod:
    """Convert a card token of an old front-end to a PaymentMethod."""
    return _client().v1.payment_methods.create(
        {"type": "card", "card": {"token": card_token}}, _key(idempotency_key)
    )


def attach_payment_method(payment_method_id: str, customer_id: str) -> PaymentMethod:
    return _client().v1.payment_methods.attach(payment_method_id, {"customer": customer_id})


def detach_payment_method(payment_method_id: str) -> None:
    """Detach the payment method from its customer. No error if it has none."""
    try:
        _client().v1.payment_methods.detach(payment_method_id)
    except InvalidRequestError:
        if retrieve_payment_method(payment_method_id).customer is not None:
            raise


def create_setup_intent(params: SetupIntentCreateParams) -> SetupIntent:
    return _client().v1.setup_intents.create(params)


def retrieve_setup_intent(intent_id: str) -> SetupIntent:
    return _client().v1.setup_intents.retrieve(intent_id)


def find_setup_intent(intent_id: str) -> SetupIntent | None:
    """Return the SetupIntent, or ``None`` if Stripe does not know the id."""
    return _found(retrieve_setup_intent, intent_id)


def retrieve_payment_method(payment_method_id: str) -> PaymentMethod:
    return _client().v1.payment_methods.retrieve(payment_method_id)


def find_payment_method(payment_method_id: str) -> PaymentMethod | None:
    """Return the payment method, or ``None`` if Stripe does not know the id."""
    return _found(retrieve_payment_method, payment_method_id)


# Plans and subscriptions: https://docs.stripe.com/api/subscriptions


def create_plan(params: PlanCreateParams, *, idempotency_key: str) -> Plan:
    return _client().v1.plans.create(params, _key(idempotency_key))


def retrieve_plan(plan_id: str) -> Plan:
    return _client().v1.plans.retrieve(plan_id)


def create_subscription(params: SubscriptionCreateParams, *, idempotency_key: str) -> Subscription:
    """Create a subscription; for a repeated key return it as it is now.

    If it cannot be read, it is returned as it was created: an error would mean that there is none.
    """
    subscription = _client().v1.subscriptions.create(params, _key(idempotency_key))
    if not _is_replayed(subscription):
        return subscription
    try:
        return retrieve_subscription(subscription.id)
    except StripeError:
        return subscription


def retrieve_subscription(subscription_id: str) -> Subscription:
    return _client().v1.subscriptions.retrieve(subscription_id)


def update_subscription(subscription_id: str, params: SubscriptionUpdateParams) -> Subscription:
    return _client().v1.subscriptions.update(subscription_id, params)


def cancel_subscription(subscription_id: str) -> Subscription:
    return _client().v1.subscriptions.cancel(subscription_id)


def payment_intents_of_invoice(invoice_id: str) -> Iterator[PaymentIntent]:
    """Yield the payment intents of the invoice: usually one, none if no amount was due."""
    params: InvoicePaymentListParams = {
        "invoice": invoice_id,
        "limit": PAGE_SIZE,
        "expand": ["data.payment.payment_intent"],
    }
    for paid in _client().v1.invoice_payments.list(params).auto_paging_iter():
        intent = getattr(paid.payment, "payment_intent", None)
        if isinstance(intent, PaymentIntent):
            yield intent


def all_subscriptions() -> Iterator[JSON]:
    """List the subscriptions of the account, newest first, ended ones included."""
    params: SubscriptionListParams = {"status": "all", "limit": PAGE_SIZE}
    return _listed("/v1/subscriptions", params)


def subscriptions(customer_id: str) -> Iterator[Subscription]:
    """List all subscriptions of the customer, newest first, ended ones included."""
    listing = _client().v1.subscriptions.list(
        {"customer": customer_id, "status": "all", "limit": PAGE_SIZE}
    )
    return listing.auto_paging_iter()


def search_subscriptions(metadata_key: str, value: str) -> Iterator[str]:
    """Yield the ids of the subscriptions of all customers with ``value`` in their metadata."""
    return _searched(_client().v1.subscriptions.search, metadata_key, value)


def create_tax_rate(params: TaxRateCreateParams, *, idempotency_key: str) -> TaxRate:
    return _client().v1.tax_rates.create(params, _key(idempotency_key))


def tax_rates() -> Iterator[TaxRate]:
    """List the active tax rates that are added to the price."""
    listing = _client().v1.tax_rates.list({"active": True, "inclusive": False, "limit": PAGE_SIZE})
    return listing.auto_paging_iter()


# Coupons: https://docs.stripe.com/api/coupons
#
# Unverified: that Stripe decodes the "+" that the SDK writes for a space in a path. Such ids cannot
# be created since API version 2018-05-21, but old ones still exist.


def create_coupon(params: CouponCreateParams, *, idempotency_key: str) -> Coupon:
    """Create a coupon; for a repeated key return it as it is now."""
    coupon = _client().v1.coupons.create(params, _key(idempotency_key))
    return retrieve_coupon(coupon.id) if _is_replayed(coupon) else coupon


def retrieve_coupon(coupon_id: str) -> Coupon:
    """Return the coupon; raise ``InvalidRequestError`` (404) if Stripe does not know the id."""
    return _client().v1.coupons.retrieve(coupon_id)


def find_coupon(coupon_id: str) -> Coupon | None:
    """Return the coupon, or ``None`` if it does not exist or was deleted."""
    return _found(retrieve_coupon, coupon_id)


def update_coupon(coupon_id: str, params: CouponUpdateParams) -> Coupon:
    return _client().v1.coupons.update(coupon_id, params)


def delete_coupon(coupon_id: str) -> None:
    """Delete the coupon; discounts already granted stay."""
    _client().v1.coupons.delete(coupon_id)


def coupons() -> Iterator[JSON]:
    """List the coupons of the key's mode (live or test), newest first."""
    params: CouponListParams = {"limit": PAGE_SIZE}
    return _listed("/v1/coupons", params)


# Events and their signatures: https://docs.stripe.com/webhooks


class SignatureProblem(Exception):
    """Why a signature is not accepted, for the site's log and not for the sender."""


def check_signature(body: str, signature: str, secrets: Sequence[str]) -> None:
    """Raise ``SignatureProblem`` unless ``signature``, the header, is of ``body`` and recent.

    ``secrets`` are the current secrets of the endpoint; an empty secret is never valid.
    """
    if not signature:
        raise SignatureProblem("The signature is missing: there is no header Stripe-Signature.")
    # The SDK compares the texts with hmac.compare_digest, which accepts ASCII only.
    usable = [it for it in secrets if it.strip()] if signature.isascii() else []
    if any(_is_signed_with(body, signature, it, SIGNATURE_TOLERANCE) for it in usable):
        return
    if any(_is_signed_with(body, signature, it) for it in usable):
        age = int(time.time()) - int(_SIGNED_AT.findall(signature)[0])
        raise SignatureProblem(
            f"The signature is too old: by this server's clock it was made {age} seconds ago, "
            f"and at most {SIGNATURE_TOLERANCE} are allowed."
        )
    raise SignatureProblem(
        "The signature is wrong: it is of another body, or was made with a secret that is not in "
        "STRIPE_WEBHOOK_ENDPOINT_SECRET."
    )


def _is_signed_with(body: str, signature: str, secret: str, tolerance: int | None = None) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body, signature, secret, tolerance)
    except stripe.SignatureVerificationError:
        return False
    return True


def retrieve_event(event_id: str) -> Event:
    """Return the event as it was rendered when it happened; Stripe keeps it for 30 days."""
    return _client().v1.events.retrieve(event_id)


def events(since: int, until: int, types: Sequence[str] = ()) -> Iterator[JSON]:
    """List the events from ``since`` to ``until`` (Unix time), newest first.

    ``types`` are at most ``MAX_EVENT_TYPES``; an empty sequence means all types.
    """
    params: EventListParams = {"created": {"gte": since, "lte": until}, "limit": PAGE_SIZE}
    if types:
        params["types"] = list(types)
    return _listed("/v1/events", params)


# Listings as plain JSON


def _listed(path: str, params: Mapping[str, Any]) -> Iterator[JSON]:
    """Yield each object of a listing, as the response has it. A page is read when it is needed.

    https://docs.stripe.com/api/pagination
    """
    has_more = True
    while has_more:
        page = _page(path, params)
        yield from page["data"]
        has_more = page["has_more"] and bool(page["data"])
        if has_more:
            params = {**params, "starting_after": page["data"][-1]["id"]}


def _page(path: str, params: Mapping[str, Any]) -> JSON:
    """Request a page of a list. Raises the SDK's ``APIError`` if the response is no page.

    An error that looked like an empty list would make a job mark every coupon as deleted.
    """
    bodies: list[Any] = []
    response = _client(bodies).raw_request("get", path, **params)
    try:
        page = json.loads(bodies.pop())
    except (ValueError, RecursionError):
        page = None
    if _is_page(page):
        return cast("JSON", page)
    raise stripe.APIError(
        "The response of Stripe is not a page of a list.",
        http_status=response.code,
        headers=dict(response.headers),
    )


def _is_page(value: Any) -> bool:
    if not isinstance(value, dict) or value.get("object") != "list":
        return False
    data = value.get("data")
    return (
        isinstance(value.get("has_more"), bool)
        and isinstance(data, list)
        and all(map(_has_id, data))
    )


def _has_id(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("id"), str) and bool(value["id"])


# The client


def is_live() -> bool:
    """Return whether the API key belongs to live mode, not to test mode."""
    return bool(_LIVE_KEY.match(str(stripe_settings.API_KEY)))


def is_of_other_mode(livemode: object) -> bool:
    """Return whether an object's ``livemode`` is not the mode of the API key.

    An object that does not say its mode is of no other mode.
    """
    return isinstance(livemode, bool) and livemode != is_live()


@contextmanager
def around_each_request(around: Callable[[Send], Response]) -> Iterator[None]:
    """Call ``around(send)`` for each request to Stripe within the block; it returns ``send()``.

    Each page of a list and each of the SDK's retries is a request. A thread started inside the
    block is not affected, unless it runs in a copy of the context. In a block within another one,
    the outer function is called first.
    """
    outer = _around.get()
    token = _around.set(around if outer is None else functools.partial(_nested, outer, around))
    try:
        yield
    finally:
        _around.reset(token)


@contextmanager
def before_each_request(wait: Callable[[], None]) -> Iterator[None]:
    """Call ``wait()`` before each request to Stripe within the block."""

    def around(send: Send) -> Response:
        wait()
        return send()

    with around_each_request(around):
        yield


def _client(bodies: list[Any] | None = None) -> StripeClient:
    """Return a client with the current settings; its connections are reused.

    ``bodies`` gets the bodies of successful responses, which the SDK then does not parse.
    """
    if not stripe_settings.API_KEY:
        raise stripe.AuthenticationError("No API key: set STRIPE_API_KEY.")
    sender = http_client or _requests_client(stripe_settings.TIMEOUT)
    around = _around.get()
    sender = _marking_repetitions(_sent_by(around, sender) if around else sender)
    options: dict[str, Any] = {
        "stripe_version": stripe_settings.API_VERSION,
        "max_network_retries": stripe_settings.MAX_NETWORK_RETRIES,
        "http_client": sender if bodies is None else _keeping_bodies(sender, bodies),
    }
    if stripe_settings.API_BASE:
        options["base_addresses"] = {"api": stripe_settings.API_BASE}
    return stripe.StripeClient(stripe_settings.API_KEY, **options)


@functools.cache
def _requests_client(timeout: float) -> stripe.RequestsClient:
    return stripe.RequestsClient(timeout=timeout)


def _sent_by(around: Callable[[Send], Response], sender: stripe.HTTPClient) -> stripe.HTTPClient:
    """Return a copy of ``sender``, sharing its connections, whose requests ``around`` sends."""

    def request(*args: Any, **options: Any) -> Response:
        return around(functools.partial(sender.request, *args, **options))

    return _with_request(sender, request)


def _nested(
    outer: Callable[[Send], Response], inner: Callable[[Send], Response], send: Send
) -> Response:
    return outer(functools.partial(inner, send))


def _marking_repetitions(sender: stripe.HTTPClient) -> stripe.HTTPClient:
    """Return a copy of ``sender`` for one call, which marks the responses that prove nothing.

    The SDK repeats a request that had no usable response, and the first copy may have taken effect
    nevertheless. If the repeated one is then refused, the refusal says nothing about the first;
    unless Stripe replays what it has stored for the idempotency key.
    """
    may_have_arrived = False

    def request(method: str, *args: Any) -> Response:
        nonlocal may_have_arrived
        was_sent, may_have_arrived = may_have_arrived, True
        body, status, headers = sender.request(method, *args)
        may_have_arrived = was_sent or status >= 500
        if was_sent and method.lower() != "get" and not _is_replay(headers):
            headers = {**headers, _REPEATED: "true"}
        return body, status, headers

    return _with_request(sender, request)


def _keeping_bodies(sender: stripe.HTTPClient, bodies: list[Any]) -> stripe.HTTPClient:
    """Return a copy of ``sender`` that puts bodies into the list, and an empty one in their place.

    The SDK parses a body into ``OrderedDict``s and formats it for its log. For a page of 100 events
    that takes three times as long as ``json.loads``, which is most of the time of a job.
    """

    def request(*args: Any) -> Response:
        body, status, headers = sender.request(*args)
        if not 200 <= status < 300:
            return body, status, headers
        bodies.append(body)
        return "{}", status, headers

    return _with_request(sender, request)


def _with_request(sender: stripe.HTTPClient, request: Callable[..., Response]) -> stripe.HTTPClient:
    sending = copy.copy(sender)
    sending.request = request  # type: ignore[method-assign]
    return sending


def _found(retrieve: Callable[[str], T], id: str) -> T | None:
    try:
        return retrieve(id)
    except InvalidRequestError as error:
        if error.http_status != 404:
            raise
        return None


def _is_replayed(response: StripeObject) -> bool:
    """Return whether Stripe has replayed the stored response of the same idempotency key."""
    return response.last_response is not None and _is_replay(response.last_response.headers)


def _is_replay(headers: Mapping[str, str]) -> bool:
    named = {name.lower(): value for name, value in headers.items()}
    return named.get("idempotent-replayed") == "true"


def _key(idempotency_key: str) -> RequestOptions:
    return {"idempotency_key": idempotency_key}
