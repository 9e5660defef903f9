"""Creating a subscription exactly once, even if the process crashes in between.

The idempotency key is the row's ``uuid`` with the number of refusals by Stripe, because Stripe
stores a refusal under its key and would repeat it on a retry. Once Stripe may have discarded the
key, the subscription is searched for by the ``uuid`` in its metadata first.
https://docs.stripe.com/api/subscriptions/create
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from aa_stripe import gateway
from aa_stripe.exceptions import StripeMethodNotAllowed, StripeNoActiveCustomer
from aa_stripe.gateway import Meaning
from aa_stripe.models.customer import StripeCustomer
from aa_stripe.models.rows import locked, reject_open_transaction, related, reread, write_if
from aa_stripe.settings import stripe_settings

if TYPE_CHECKING:
    from aa_stripe.models.subscription.model import StripeSubscription

#: In the metadata of every subscription: the ``uuid`` of its row.
UUID_KEY = "aa_stripe_subscription_uuid"

#: In the metadata of our tax rates: the percentage, to find the rate by.
TAX_KEY = "aa_stripe_tax_percent"


def subscribe(row: StripeSubscription) -> gateway.Subscription:
    """See ``StripeSubscription.create_at_stripe``."""
    reject_open_transaction(row)
    if row._state.adding or row.changed_fields():
        row.save()
    try:
        with locked(row):
            _reject_created(row)
            row.customer = _customer(row)
            subscription = _find_or_create(row, row.customer)
            row.set_stripe_data(subscription)
    except gateway.StripeError as error:
        if gateway.meaning_of(error) in {Meaning.DECLINED, Meaning.REFUSED}:
            write_if(row, {"refusals": row.refusals}, {"refusals": row.refusals + 1})
            reread(row)
        raise
    return subscription


def _reject_created(row: StripeSubscription) -> None:
    if row.is_created_at_stripe:
        raise StripeMethodNotAllowed
    if not related(row, "plan").stripe_plan_id:
        raise StripeMethodNotAllowed("The plan is not created at Stripe.")


def _customer(row: StripeSubscription) -> StripeCustomer:
    customer = StripeCustomer.latest_active(row.user_id)
    if customer is None:
        raise StripeNoActiveCustomer
    return customer


def _find_or_create(row: StripeSubscription, customer: StripeCustomer) -> gateway.Subscription:
    if row.key_may_be_forgotten():
        found = _search(row)
        if found is not None:
            return found
    try:
        return gateway.create_subscription(_params(row, customer), idempotency_key=_key(row))
    except gateway.IdempotencyError:
        # An earlier attempt sent other parameters with this key, and may have succeeded.
        found = _search(row)
        if found is None:
            raise
        return found


def _key(row: StripeSubscription) -> str:
    return f"{row.uuid}-{row.refusals}"


def _search(row: StripeSubscription) -> gateway.Subscription | None:
    """Return the subscription with the row's ``uuid`` in its metadata, whatever its status."""
    for customer_id in StripeCustomer.stripe_ids_of(row.user_id):
        for subscription in gateway.subscriptions(customer_id):
            if gateway.metadata_of(subscription).get(UUID_KEY) == str(row.uuid):
                return subscription
    return None


def _params(row: StripeSubscription, customer: StripeCustomer) -> gateway.SubscriptionCreateParams:
    plan, coupon = related(row, "plan"), related(row, "coupon")
    params: gateway.SubscriptionCreateParams = {
        "customer": customer.stripe_customer_id,
        "items": [{"price": plan.stripe_plan_id}],
        "metadata": {**row.metadata, UUID_KEY: str(row.uuid)},
        "off_session": True,
        "payment_behavior": stripe_settings.SUBSCRIPTION_PAYMENT_BEHAVIOR,
    }
    if plan.trial_period_days:
        params["trial_from_plan"] = True
    if coupon is not None:
        params["discounts"] = [{"coupon": coupon.coupon_id}]
    if row.tax_percent:
        params["default_tax_rates"] = [_tax_rate(row.tax_percent).id]
    return params


def _tax_rate(percent: Decimal) -> gateway.TaxRate:
    """Return the account's tax rate of ``percent``; create it if it does not exist.

    Subscriptions no longer accept a percentage: https://docs.stripe.com/billing/taxes/tax-rates
    """
    wanted = f"{Decimal(percent).normalize():f}"
    for rate in gateway.tax_rates():
        if gateway.metadata_of(rate).get(TAX_KEY) == wanted:
            return rate
    return gateway.create_tax_rate(
        {
            "display_name": "Tax",
            "percentage": float(wanted),
            "inclusive": False,
            "metadata": {TAX_KEY: wanted},
        },
        idempotency_key=f"{TAX_KEY}-{wanted}",
    )
