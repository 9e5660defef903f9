"""Creating a subscription exactly once, even if the process crashes in between.

One request creates the subscription, which then bills by itself, and Stripe may still carry out a
request that it responded to with an error. So the row is claimed before the request, and a row
whose outcome is not known is first looked for at Stripe, by the ``uuid`` in the metadata.
https://docs.stripe.com/api/subscriptions/create
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from aa_stripe import gateway
from aa_stripe.exceptions import (
    StripeInProgress,
    StripeInternalError,
    StripeMethodNotAllowed,
    StripeNoActiveCustomer,
)
from aa_stripe.gateway import Meaning
from aa_stripe.models.claims import (
    FREE,
    PATIENCE,
    SETTLED,
    Claim,
    checked_requests,
    choose_key,
    ending,
    is_stored,
    patiently,
    take,
)
from aa_stripe.models.customer import StripeCustomer
from aa_stripe.models.erasable import kept
from aa_stripe.models.keys import create_with_new_key
from aa_stripe.models.legacy import with_plan_keys
from aa_stripe.models.rows import reject_open_transaction, related, reread
from aa_stripe.models.search import Finder
from aa_stripe.models.subscription.price import plan_of, price_id_of
from aa_stripe.settings import ALLOW, stripe_settings
from aa_stripe.utils import to_datetime

if TYPE_CHECKING:
    from aa_stripe.models.subscription.model import StripeSubscription

#: In the metadata of every subscription: the ``uuid`` of its row.
UUID_KEY = "aa_stripe_subscription_uuid"

#: The states with an unpaid invoice, whose payment may need the customer.
OWING = frozenset({"incomplete", "past_due", "unpaid"})

#: In the metadata of our tax rates: the percentage, to find the rate by.
TAX_KEY = "aa_stripe_tax_percent"


def subscribe(row: StripeSubscription) -> gateway.Subscription:
    """See ``StripeSubscription.create_at_stripe``."""
    reject_open_transaction(row)
    if row._state.adding or row.changed_fields():
        row.save()
    try:
        return _subscribe(row)
    except gateway.InvalidRequestError as error:
        customer = StripeCustomer.latest_active(row.user_id)
        if customer is None or not _is_gone(customer, error):
            raise
        return subscribe(row)  # for the user's next active customer


def _subscribe(row: StripeSubscription) -> gateway.Subscription:
    claim = _claim(row)
    try:
        with checked_requests(claim):
            subscription = _lost(row) or _create(row, claim)
        _record(row, claim, subscription)
    except BaseException:
        with ending(claim):
            claim.give_back()  # has no effect on a claim that has ended
        raise
    return subscription


def _is_gone(customer: StripeCustomer, error: gateway.InvalidRequestError) -> bool:
    """Return whether the customer was deleted at Stripe; then it becomes inactive.

    A customer without a default payment method is refreshed: its row may have one.
    """
    if not gateway.lacks_default_payment_method(error):
        return customer.is_deleted_at_stripe(error)
    customer.refresh_from_stripe()
    return not customer.is_active


def fields_of(described: gateway.JSON) -> dict[str, Any]:
    """Return the values of a row that are Stripe's.

    Whether an unpaid invoice ``requires_action``, a subscription does not say.
    """
    paused = described.get("pause_collection") or {}
    settled = {} if described["status"] in OWING else {"requires_action": False}
    return {
        **settled,
        "stripe_subscription_id": described["id"],
        "is_created_at_stripe": True,
        "status": described["status"],
        "at_period_end": bool(described.get("cancel_at_period_end")),
        "cancel_at": _moment(described.get("cancel_at")),
        "canceled_at": _moment(described.get("canceled_at")),
        "pause_collection": paused.get("behavior") or "",
        "stripe_price_id": price_id_of(described),
        "latest_invoice_id": _invoice_id(described.get("latest_invoice")),
        "stripe_response": with_plan_keys(described),
    }


def _invoice_id(invoice: str | gateway.JSON | None) -> str:
    """Return the id of the invoice, which may be expanded."""
    return str(invoice["id"]) if isinstance(invoice, dict) else invoice or ""


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else to_datetime(seconds)


def values_of(row: StripeSubscription, subscription: gateway.Subscription) -> dict[str, Any]:
    """Return the values of a row whose subscription exists.

    It gets a customer if it has none, and the plan of the subscription's price if there is one.
    """
    values = {**fields_of(gateway.to_json(subscription)), **SETTLED}
    values |= plan_of(row, values["stripe_price_id"])
    if row.customer_id is None:
        values["customer"] = StripeCustomer.of_stripe(row.user_id, str(subscription.customer))
    return kept(row, values)


def _record(row: StripeSubscription, claim: Claim, subscription: gateway.Subscription) -> None:
    """Write what was created. If a webhook has written the row meanwhile, it may know more."""
    created = {**fields_of(gateway.to_json(subscription)), "updated": timezone.now()}
    created |= plan_of(row, created["stripe_price_id"])
    payer = StripeCustomer.of_stripe(row.user_id, str(subscription.customer))
    if payer is not None:
        created["customer"] = payer
    if not claim.conclude(kept(row, created)):
        reread(row)
        row.stripe_subscription_id = subscription.id
        row.refresh_from_stripe()


def _claim(row: StripeSubscription) -> Claim:
    """Claim the row and read it; wait for another process that holds the claim."""
    for _ in patiently(PATIENCE):
        claim = take(row, is_created_at_stripe=False)
        reread(row)
        if claim is not None:
            return claim
        _reject_created(row)
    raise StripeInProgress


def _reject_created(row: StripeSubscription) -> None:
    if row.is_created_at_stripe:
        raise StripeMethodNotAllowed


# What an earlier call has created


def _lost(row: StripeSubscription) -> gateway.Subscription | None:
    """Return the subscription of an earlier call whose response was lost.

    An old row may be unsettled and not say so: by a process of an earlier version of this app, or
    by a rollback.
    """
    may_be_lost = row.is_unsettled or row.key_may_be_forgotten()
    may_be_rolled_back = stripe_settings.TRANSACTIONS == ALLOW
    return _search(row) if may_be_lost or may_be_rolled_back else None


def _search(row: StripeSubscription) -> gateway.Subscription | None:
    """Return the subscription with the row's ``uuid`` in its metadata, whatever its status."""
    finder = Finder(
        UUID_KEY,
        listed=gateway.subscriptions,
        searched=gateway.search_subscriptions,
        retrieve=gateway.retrieve_subscription,
    )
    found = finder.find(row.uuid, StripeCustomer.stripe_ids_of(row))
    return found[0] if found else None


# A new one


def _create(row: StripeSubscription, claim: Claim) -> gateway.Subscription:
    params = _params(row)
    may_arrive = row.is_unsettled and claim.may_arrive()
    if not choose_key(claim, is_created_at_stripe=False):
        reread(row)
        _reject_created(row)
        raise StripeInternalError(
            "Stripe may still carry out an earlier request for the subscription."
        )
    try:
        # As earlier versions of this app, which may still run, have written it.
        key = f"{row.uuid}-{row.key_number}"
        return gateway.create_subscription(params, idempotency_key=key)
    except gateway.StripeError as error:
        found = _search(row) if isinstance(error, gateway.IdempotencyError) else None
        if found is not None:  # an earlier attempt sent other parameters with this key
            return found
        with ending(claim):
            _record_error(row, claim, error, may_arrive)
        raise


def _record_error(
    row: StripeSubscription, claim: Claim, error: gateway.StripeError, may_arrive: bool
) -> None:
    """End the claim, settled if nothing was created and no request can be on its way.

    Then the next call may use another key at once. A refusal says nothing about an earlier request
    that may still arrive, unless Stripe has stored it under the key of both.
    """
    meaning = gateway.meaning_of(error)
    is_final = meaning is Meaning.DECLINED or gateway.is_replayed(error) or not may_arrive
    is_refusal = meaning is not Meaning.UNKNOWN and not isinstance(error, gateway.IdempotencyError)
    if is_refusal and is_final:
        claim.conclude({"key_number": row.key_number + 1})
        return
    received: dict[str, Any] = {}
    if is_stored(error):
        received["stripe_response"] = gateway.error_body(error) or {"status": error.http_status}
    claim.write({**FREE, **kept(row, received)})


def _params(row: StripeSubscription) -> gateway.SubscriptionCreateParams:
    plan, coupon = related(row, "plan"), related(row, "coupon")
    if plan is None:
        raise StripeMethodNotAllowed("The subscription has no plan: it was deleted.")
    if not plan.price_id:
        raise StripeMethodNotAllowed("The plan is not created at Stripe.")
    customer = StripeCustomer.latest_active(row.user_id)
    if customer is None:
        raise StripeNoActiveCustomer
    params: gateway.SubscriptionCreateParams = {
        "customer": customer.stripe_customer_id,
        "items": [{"price": plan.price_id}],
        "metadata": _metadata(row),
        "off_session": True,
        "payment_behavior": stripe_settings.SUBSCRIPTION_PAYMENT_BEHAVIOR,
    }
    if plan.trial_period_days > 0:
        # Not trial_from_plan: a price made in the Dashboard has no trial.
        params["trial_period_days"] = plan.trial_period_days
    if coupon is not None and coupon.is_deleted:
        raise StripeMethodNotAllowed("The coupon was deleted.")  # its id may be another's by now
    if coupon is not None:
        params["discounts"] = [{"coupon": coupon.coupon_id}]
    if row.tax_percent:
        params["default_tax_rates"] = [_tax_rate(row.tax_percent).id]
    return params


def _metadata(row: StripeSubscription) -> dict[str, str]:
    """Return the row's metadata with its ``uuid``, and the name of this site if it has one."""
    origin = stripe_settings.PAYMENT_ORIGIN
    site = {"origin": str(origin)} if origin else {}
    return {**site, **(row.metadata or {}), UUID_KEY: str(row.uuid)}


def _tax_rate(percent: Decimal) -> gateway.TaxRate:
    """Return the account's tax rate of ``percent``; create it if it does not exist.

    Subscriptions no longer accept a percentage: https://docs.stripe.com/billing/taxes/tax-rates
    """
    wanted = f"{Decimal(percent).normalize():f}"
    for rate in gateway.tax_rates():
        if gateway.metadata_of(rate).get(TAX_KEY) == wanted:
            return rate
    params: gateway.TaxRateCreateParams = {
        "display_name": "Tax",
        "percentage": float(wanted),
        "inclusive": False,
        "metadata": {TAX_KEY: wanted},
    }
    return create_with_new_key(
        f"{TAX_KEY}-{wanted}", lambda key: gateway.create_tax_rate(params, idempotency_key=key)
    )
