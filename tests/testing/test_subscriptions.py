from __future__ import annotations

from itertools import count
from types import SimpleNamespace

import pytest
import stripe

from aa_stripe.testing import Fault, Refusal
from tests.testing.conftest import (
    attach,
    change_card,
    customer_with,
    plan_params,
    refusal_of,
    subscribe,
    types_of,
)

DAY = 24 * 60 * 60


def invoice_of(api, subscription, **params):
    return api.invoices.retrieve(subscription.latest_invoice, params)


def intent_of(api, subscription):
    (payment,) = invoice_of(api, subscription, expand=["payments"]).payments.data
    return payment.payment.payment_intent


# Creating


def test_a_subscription_is_paid_immediately(fake, api, subscriber, plan):
    before = len(fake.events)

    subscription = subscribe(api, subscriber, metadata={"a": "1"}, description="Gold for Ada")

    assert (subscription.status, subscription.customer) == ("active", subscriber.id)
    assert (subscription.currency, subscription.metadata.a) == ("usd", "1")
    assert subscription.description == "Gold for Ada"
    assert subscription.ended_at is subscription.canceled_at is subscription.trial_end is None
    (charge,) = api.charges.list({"customer": subscriber.id}).data
    assert (charge.amount, charge.paid) == (1000, True)
    assert types_of(fake)[before:] == [
        "invoice.created",
        "payment_intent.created",
        "invoice.finalized",
        "charge.succeeded",
        "payment_intent.succeeded",
        "invoice_payment.paid",
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.created",
    ]
    assert fake.events[-1]["data"]["object"]["status"] == "active"


def test_the_period_of_a_subscription_is_on_its_item(api, subscription):
    (item,) = subscription["items"].data

    assert item.current_period_start == subscription.created == subscription.billing_cycle_anchor
    assert 28 * DAY <= item.current_period_end - item.current_period_start <= 31 * DAY
    assert "current_period_end" not in subscription
    assert (item.price.id, item.plan.id, item.quantity) == ("gold", "gold", 1)
    assert item.subscription == subscription.id


def test_all_objects_and_events_of_one_request_have_the_same_time(
    fake, api, subscriber, plan, monkeypatch
):
    clock_that_ticks_on_each_call = SimpleNamespace(time=count(fake.now).__next__)
    monkeypatch.setattr("aa_stripe.testing.account.time", clock_that_ticks_on_each_call)
    before = len(fake.events)

    subscription = subscribe(api, subscriber)

    (item,) = subscription["items"].data
    assert item.created == item.current_period_start == subscription.created
    assert {event["created"] for event in fake.events[before:]} == {subscription.created}


@pytest.mark.parametrize("name", ["plan", "price"])
def test_an_item_can_name_a_plan_or_a_price(api, subscriber, plan, name):
    subscription = api.subscriptions.create(
        {"customer": subscriber.id, "items": [{name: "gold", "quantity": 3}]}
    )

    assert invoice_of(api, subscription).total == 3000


def test_a_price_can_be_subscribed_to(api, subscriber, plan):
    price = api.prices.create(
        {
            "currency": "usd",
            "unit_amount_decimal": "0.5",
            "product": plan.product,
            "recurring": {"interval": "month"},
        }
    )

    subscription = api.subscriptions.create(
        {
            "customer": subscriber.id,
            "items": [{"price": price.id, "quantity": 301}, {"plan": "gold"}],
        }
    )

    assert invoice_of(api, subscription).total == 151 + 1000


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"customer": None}, "parameter_missing", "customer"),
        ({"items": None}, "parameter_missing", "items"),
        ({"items": [{"price": "none"}]}, "resource_missing", "items[0][price]"),
        ({"items": [{"plan": "none"}]}, "resource_missing", "items[0][plan]"),
        ({"items": [{"plan": "gold", "price": "gold"}]}, "parameters_exclusive", "items[0][plan]"),
        ({"items": [{"quantity": 2}]}, "parameter_missing", "items[0][price]"),
        (
            {"items": [{"price": "gold", "quantity": -1}]},
            "parameter_invalid_integer",
            "items[0][quantity]",
        ),
        ({"items": [{"price": "gold"}, {"price": "gold"}]}, None, "items"),
        ({"items": [{"price": "gold"}] * 21}, None, "items"),
        ({"items": [{"price": "gold", "tax_rates": ["t"]}]}, None, "items[0][tax_rates]"),
        ({"plan": "gold"}, "parameter_unknown", "plan"),
        ({"coupon": "SUMMER"}, "parameter_unknown", "coupon"),
        ({"tax_percent": 8}, "parameter_unknown", "tax_percent"),
        ({"default_tax_rates": ["txr_none"]}, "resource_missing", "default_tax_rates"),
        ({"discounts": [{"coupon": "none"}]}, "resource_missing", "discounts[0][coupon]"),
        ({"discounts": [{"discount": "di_none"}]}, "resource_missing", "discounts[0][discount]"),
        ({"discounts": [{"promotion_code": "p"}]}, None, "discounts[0][promotion_code]"),
        ({"default_payment_method": "pm_none"}, "resource_missing", "default_payment_method"),
        ({"default_payment_method": "pm_card_visa"}, "resource_missing", "default_payment_method"),
        ({"default_source": "card_none"}, "resource_missing", "default_source"),
        ({"payment_behavior": "pending_if_incomplete"}, None, "payment_behavior"),
        ({"payment_behavior": "anything"}, None, "payment_behavior"),
        ({"collection_method": "send_invoice"}, None, "collection_method"),
        ({"backdate_start_date": 5}, None, "backdate_start_date"),
        ({"trial_period_days": -1}, "parameter_invalid_integer", "trial_period_days"),
        ({"trial_period_days": 731}, None, "trial_period_days"),
        ({"trial_end": 5}, None, "trial_end"),
        ({"trial_end": 9_999_999_999}, None, "trial_end"),
        ({"trial_end": "now", "trial_from_plan": True}, "parameters_exclusive", "trial_end"),
        ({"trial_end": "now", "trial_period_days": 5}, "parameters_exclusive", "trial_end"),
        ({"metadata": {"k" * 41: "v"}}, None, "metadata"),
    ],
)
def test_a_subscription_with_invalid_parameters_is_refused(
    fake, api, subscriber, plan, params, code, param
):
    whole = {"customer": subscriber.id, "items": [{"price": "gold"}], **params}
    sent = {name: value for name, value in whole.items() if value is not None}

    error = refusal_of(api.subscriptions.create, sent)

    assert (error.http_status, error.code, error.param) == (400, code, param)
    for kind in ("subscription", "invoice", "payment_intent", "discount"):
        assert fake.account.all(kind) == []


def test_the_error_names_the_unknown_coupon(api, subscriber, plan):
    error = refusal_of(lambda: subscribe(api, subscriber, discounts=[{"coupon": "none"}]))

    assert (error.http_status, error.code, error.param) == (
        400,
        "resource_missing",
        "discounts[0][coupon]",
    )
    assert error.user_message == "No such coupon: 'none'"


def test_the_prices_of_a_subscription_must_have_one_currency_and_interval(api, subscriber, plan):
    euro = api.plans.create(plan_params(currency="eur"))
    yearly = api.plans.create(plan_params(interval="year"))

    for other in (euro, yearly):
        items = [{"price": "gold"}, {"price": other.id}]
        error = refusal_of(api.subscriptions.create, {"customer": subscriber.id, "items": items})
        assert error.param == "items"


def test_an_inactive_or_one_time_price_is_refused(api, subscriber, plan):
    once = api.prices.create({"currency": "usd", "unit_amount": 5, "product": plan.product})
    api.plans.update("gold", {"active": False})

    inactive = refusal_of(subscribe, api, subscriber)
    one_time = refusal_of(
        api.subscriptions.create, {"customer": subscriber.id, "items": [{"price": once.id}]}
    )

    assert "inactive" in str(inactive.user_message)
    assert "type=one_time" in str(one_time.user_message)


# Paying


def test_a_customer_without_a_default_card_is_refused(fake, api, customer, plan):
    error = refusal_of(subscribe, api, customer)

    assert (error.http_status, error.code) == (400, "resource_missing")
    assert error.user_message.startswith(
        "This customer has no attached payment source or default payment method. "
    )
    assert fake.account.all("subscription") == []


def test_a_legacy_card_pays_for_a_subscription(legacy_fake, legacy_api):
    legacy_api.plans.create(plan_params(id="gold"))
    customer = legacy_api.customers.create({"source": "tok_visa"})

    by_default = subscribe(legacy_api, customer)
    by_name = subscribe(legacy_api, customer, default_source=customer.default_source)

    assert by_default.status == by_name.status == "active"
    assert by_name.default_source == customer.default_source
    cleared = legacy_api.subscriptions.update(by_name.id, {"default_source": ""})
    assert cleared.default_source is None


def test_the_card_of_the_subscription_overrides_the_customers(api, subscriber, plan):
    amex = attach(api, subscriber, "pm_card_amex")

    subscription = subscribe(api, subscriber, default_payment_method=amex.id)

    intent = api.payment_intents.retrieve(intent_of(api, subscription))
    assert intent.payment_method == subscription.default_payment_method == amex.id


def test_a_detached_card_is_skipped(api, subscriber, plan):
    amex = attach(api, subscriber, "pm_card_amex")
    subscription = subscribe(api, subscriber, default_payment_method=amex.id, trial_period_days=1)
    api.payment_methods.detach(amex.id)

    ended = api.subscriptions.update(subscription.id, {"trial_end": "now"})

    assert ended.status == "active"


def test_a_subscription_with_a_declining_card_is_incomplete(fake, api, plan):
    customer = customer_with(api, "pm_card_chargeCustomerFail")

    subscription = subscribe(api, customer)

    assert subscription.status == "incomplete"
    invoice = invoice_of(api, subscription)
    assert (invoice.status, invoice.amount_due, invoice.amount_paid) == ("open", 1000, 0)
    assert (invoice.attempted, invoice.attempt_count) == (True, 1)
    intent = api.payment_intents.retrieve(intent_of(api, subscription))
    assert intent.status == "requires_payment_method"
    assert intent.last_payment_error.decline_code == "generic_decline"
    assert types_of(fake)[-2:] == ["invoice.payment_failed", "customer.subscription.created"]


def test_error_if_incomplete_is_a_402_and_creates_no_subscription(fake, api, plan):
    customer = customer_with(api, "pm_card_chargeCustomerFail")

    error = refusal_of(
        lambda: subscribe(api, customer, payment_behavior="error_if_incomplete"),
        kind=stripe.CardError,
    )

    assert (error.http_status, error.code) == (402, "card_declined")
    assert error.error.decline_code == "generic_decline"
    for kind in ("subscription", "invoice", "payment_intent"):
        assert fake.account.all(kind) == []


def test_error_if_incomplete_refuses_a_card_that_requires_3d_secure(fake, api, plan):
    customer = customer_with(api, "pm_card_authenticationRequired")

    error = refusal_of(
        lambda: subscribe(api, customer, payment_behavior="error_if_incomplete"),
        kind=stripe.CardError,
    )

    assert error.code == "subscription_payment_intent_requires_action"
    assert fake.account.all("subscription") == []


def test_error_if_incomplete_creates_a_subscription_with_a_good_card(api, subscriber, plan):
    subscription = subscribe(api, subscriber, payment_behavior="error_if_incomplete")

    assert subscription.status == "active"


def test_a_refusal_is_kept_under_its_key(api, plan):
    customer = customer_with(api, "pm_card_chargeCustomerFail")
    params = {
        "customer": customer.id,
        "items": [{"price": "gold"}],
        "payment_behavior": "error_if_incomplete",
    }
    with pytest.raises(stripe.CardError):
        api.subscriptions.create(params, {"idempotency_key": "k"})
    change_card(api, customer, "pm_card_visa")

    with pytest.raises(stripe.CardError):
        api.subscriptions.create(params, {"idempotency_key": "k"})
    assert api.subscriptions.create(params, {"idempotency_key": "other"}).status == "active"


@pytest.mark.parametrize("has_card", [True, False])
def test_default_incomplete_lets_the_customer_confirm_the_first_payment(api, plan, has_card):
    customer = customer_with(api) if has_card else api.customers.create()

    subscription = subscribe(api, customer, payment_behavior="default_incomplete")

    assert subscription.status == "incomplete"
    intent = api.payment_intents.retrieve(intent_of(api, subscription))
    assert intent.status == ("requires_confirmation" if has_card else "requires_payment_method")
    assert api.charges.list().data == []
    paid = api.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert paid.status == "succeeded"
    assert api.subscriptions.retrieve(subscription.id).status == "active"


def test_the_invoice_has_the_secret_for_the_browser(api, plan):
    customer = api.customers.create()

    subscription = subscribe(
        api,
        customer,
        payment_behavior="default_incomplete",
        expand=["latest_invoice.confirmation_secret"],
    )

    secret = subscription.latest_invoice.confirmation_secret
    assert secret.client_secret.startswith(intent_id := secret.client_secret.split("_secret_")[0])
    assert api.payment_intents.retrieve(intent_id).amount == 1000


def test_3d_secure_on_session_waits_for_the_customer(fake, api, plan):
    customer = customer_with(api, "pm_card_authenticationRequired")

    subscription = subscribe(api, customer)

    assert subscription.status == "incomplete"
    assert "invoice.payment_action_required" in types_of(fake)
    fake.complete_authentication(intent_of(api, subscription))
    assert api.subscriptions.retrieve(subscription.id).status == "active"
    assert invoice_of(api, subscription).status == "paid"
    assert types_of(fake)[-1] == "customer.subscription.updated"
    assert fake.events[-1]["data"]["previous_attributes"] == {"status": "incomplete"}


def test_a_card_that_requires_3d_secure_is_declined_off_session(api, plan):
    customer = customer_with(api, "pm_card_authenticationRequired")

    subscription = subscribe(api, customer, off_session=True)

    assert subscription.status == "incomplete"
    intent = api.payment_intents.retrieve(intent_of(api, subscription))
    assert intent.last_payment_error.code == "authentication_required"


def test_an_incomplete_subscription_can_be_paid_with_another_card(fake, api, plan):
    customer = customer_with(api, "pm_card_chargeCustomerFail")
    subscription = subscribe(api, customer)
    good = change_card(api, customer, "pm_card_visa")

    invoice = api.invoices.pay(subscription.latest_invoice)

    assert (invoice.status, invoice.amount_paid, invoice.attempt_count) == ("paid", 1000, 2)
    assert api.subscriptions.retrieve(subscription.id).status == "active"
    assert api.payment_intents.retrieve(intent_of(api, subscription)).payment_method == good.id
    assert types_of(fake)[-3:] == [
        "invoice.paid",
        "invoice.payment_succeeded",
        "customer.subscription.updated",
    ]


def test_an_incomplete_subscription_expires_after_23_hours(fake, api, plan):
    subscription = subscribe(api, customer_with(api, "pm_card_chargeCustomerFail"))

    fake.advance(23 * 60 * 60 - 60)
    assert api.subscriptions.retrieve(subscription.id).status == "incomplete"
    fake.advance(120)

    expired = api.subscriptions.retrieve(subscription.id)
    assert (expired.status, expired.canceled_at) == ("incomplete_expired", None)
    assert expired.ended_at == subscription.created + 23 * 60 * 60
    assert invoice_of(api, subscription).status == "void"
    intent = api.payment_intents.retrieve(intent_of(api, subscription))
    assert (intent.status, intent.cancellation_reason) == ("canceled", "void_invoice")
    assert types_of(fake)[-3:] == [
        "payment_intent.canceled",
        "invoice.voided",
        "customer.subscription.updated",
    ]


def test_expiry_does_not_cancel_a_processing_payment(fake, api, plan):
    subscription = subscribe(api, customer_with(api, "pm_card_fakeProcessing"))
    assert subscription.status == "incomplete"

    fake.advance(DAY)

    assert api.subscriptions.retrieve(subscription.id).status == "incomplete_expired"
    assert fake.settle(intent_of(api, subscription))["status"] == "succeeded"
    assert api.subscriptions.retrieve(subscription.id).status == "incomplete_expired"


def test_a_free_plan_requires_no_card(fake, api):
    api.plans.create(plan_params(id="gold", amount=0))

    subscription = subscribe(api, api.customers.create())

    assert subscription.status == "active"
    assert invoice_of(api, subscription).status == "paid"
    assert fake.account.all("payment_intent") == []
    assert (
        invoice_of(api, subscription, expand=["payments", "confirmation_secret"]).to_dict()[
            "confirmation_secret"
        ]
        is None
    )


def test_a_free_plan_is_renewed_without_a_card(fake, api):
    api.plans.create(plan_params(id="gold", amount=0))
    subscription = subscribe(api, api.customers.create())

    fake.advance(32 * DAY)

    renewed = api.subscriptions.retrieve(subscription.id)
    assert renewed.status == "active"
    assert renewed.latest_invoice != subscription.latest_invoice
    assert invoice_of(api, renewed).status == "paid"


# Reading


def test_a_subscription_can_be_retrieved_and_an_unknown_id_is_a_404(api, subscription):
    assert api.subscriptions.retrieve(subscription.id).id == subscription.id
    error = refusal_of(api.subscriptions.retrieve, "sub_none")
    assert (error.http_status, error.code) == (404, "resource_missing")
    assert error.user_message == "No such subscription: 'sub_none'"


def test_referenced_objects_can_be_expanded(api, subscriber, plan):
    coupon = api.coupons.create({"percent_off": 10, "duration": "forever"})
    rate = api.tax_rates.create({"display_name": "VAT", "percentage": 19, "inclusive": False})

    subscription = subscribe(
        api,
        subscriber,
        discounts=[{"coupon": coupon.id}],
        default_tax_rates=[rate.id],
        expand=[
            "customer.invoice_settings.default_payment_method",
            "discounts.source.coupon",
            "items.data.price.product",
            "latest_invoice.payments",
            "latest_invoice.parent.subscription_details.subscription",
        ],
    )

    assert subscription.customer.invoice_settings.default_payment_method.card.last4 == "4242"
    assert subscription.discounts[0].source.coupon.percent_off == 10
    assert subscription["items"].data[0].price.product.name == "Gold"
    assert subscription.latest_invoice.payments.data[0].status == "paid"
    details = subscription.latest_invoice.parent.subscription_details
    assert details.subscription.id == subscription.id
    assert subscription.default_tax_rates[0].percentage == 19  # always expanded


def test_references_are_ids_by_default(api, subscriber, plan):
    coupon = api.coupons.create({"percent_off": 10, "duration": "forever"})

    subscription = subscribe(api, subscriber, discounts=[{"coupon": coupon.id}])

    assert subscription.discounts[0].startswith("di_")
    assert subscription.latest_invoice.startswith("in_")


@pytest.mark.parametrize(
    "path", ["items", "plan", "default_tax_rates", "items.data.price.nickname"]
)
def test_a_property_that_is_not_a_reference_cannot_be_expanded(api, subscription, path):
    error = refusal_of(api.subscriptions.retrieve, subscription.id, {"expand": [path]})

    assert "cannot be expanded" in str(error.user_message)


def test_a_deleted_coupon_stays_an_id_when_it_is_expanded(api, subscriber, plan):
    api.coupons.create({"percent_off": 10, "duration": "forever", "id": "SUMMER"})
    subscription = subscribe(api, subscriber, discounts=[{"coupon": "SUMMER"}])
    api.coupons.delete("SUMMER")

    read = api.subscriptions.retrieve(subscription.id, {"expand": ["discounts.source.coupon"]})

    assert read.discounts[0].source.coupon == "SUMMER"


def test_a_customers_subscriptions_can_be_expanded(api, subscriber, subscription):
    canceled = subscribe(api, subscriber)
    api.subscriptions.cancel(canceled.id)

    read = api.customers.retrieve(subscriber.id, {"expand": ["subscriptions"]})

    assert [item.id for item in read.subscriptions.data] == [subscription.id]
    assert "subscriptions" not in api.customers.retrieve(subscriber.id)


# Listing


def test_canceled_subscriptions_are_listed_only_by_status(fake, api, subscriber, subscription):
    gone = subscribe(api, subscriber)
    api.subscriptions.cancel(gone.id)
    expired = subscribe(api, customer_with(api, "pm_card_chargeCustomerFail"))
    api.subscriptions.cancel(expired.id)

    def listed(**params):
        return [item.id for item in api.subscriptions.list(params).data]

    assert listed() == [expired.id, subscription.id]
    assert listed(status="all") == [expired.id, gone.id, subscription.id]
    assert listed(status="canceled") == [gone.id]
    assert listed(status="ended") == [expired.id, gone.id]
    assert listed(status="active") == [subscription.id]
    assert listed(status="incomplete_expired") == [expired.id]
    assert listed(customer=subscriber.id) == [subscription.id]
    assert listed(customer=subscriber.id, status="all") == [gone.id, subscription.id]
    assert listed(status="all", limit=1, starting_after=expired.id) == [gone.id]


def test_subscriptions_are_listed_by_price_and_by_time(fake, api, subscriber, subscription):
    api.plans.create(plan_params(id="silver"))
    fake.advance(60)
    other = api.subscriptions.create({"customer": subscriber.id, "items": [{"price": "silver"}]})

    def listed(**params):
        return [item.id for item in api.subscriptions.list(params).data]

    assert listed(price="gold") == [subscription.id]
    assert listed(plan="silver") == [other.id]
    assert listed(created={"gt": subscription.created}) == [other.id]
    assert listed(current_period_start={"lte": subscription.created}) == [subscription.id]
    assert listed(collection_method="send_invoice") == []
    assert refusal_of(api.subscriptions.list, {"customer": "cus_none"}).code == "resource_missing"
    assert refusal_of(api.subscriptions.list, {"test_clock": "c"}).param == "test_clock"


# Ending


@pytest.mark.usefixtures("still")
def test_a_subscription_is_canceled_immediately(fake, api, subscription):
    canceled = api.subscriptions.cancel(
        subscription.id, {"cancellation_details": {"comment": "Bye", "feedback": "unused"}}
    )

    assert canceled.status == "canceled"
    assert canceled.canceled_at == canceled.ended_at == fake.now
    assert (canceled.cancel_at, canceled.cancel_at_period_end) == (None, False)
    details = canceled.cancellation_details
    assert (details.comment, details.feedback) == ("Bye", "unused")
    assert details.reason == "cancellation_requested"
    assert types_of(fake)[-1] == "customer.subscription.deleted"
    assert api.subscriptions.retrieve(subscription.id).status == "canceled"
    fake.advance(365 * DAY)
    assert len(api.invoices.list().data) == 1


@pytest.mark.parametrize("at_period_end", [False, True])
def test_canceling_a_canceled_subscription_is_a_404(fake, api, subscription, at_period_end):
    fake.dashboard_cancel_subscription(subscription.id, at_period_end=at_period_end)
    fake.advance(40 * DAY)

    error = refusal_of(api.subscriptions.cancel, subscription.id)

    assert (error.http_status, error.code) == (404, "resource_missing")
    assert error.user_message == f"No such subscription: '{subscription.id}'"
    with pytest.raises(Refusal, match="No such subscription"):
        fake.dashboard_cancel_subscription(subscription.id)


def test_canceling_refuses_the_parameter_at_period_end(api, subscription):
    error = refusal_of(api.subscriptions.cancel, subscription.id, {"at_period_end": True})

    assert error.code == "parameter_unknown"


@pytest.mark.usefixtures("still")
def test_a_subscription_can_be_canceled_at_its_period_end(fake, api, subscription):
    (item,) = subscription["items"].data
    fake.advance(5 * DAY)

    updated = api.subscriptions.update(subscription.id, {"cancel_at_period_end": True})

    assert (updated.status, updated.cancel_at_period_end) == ("active", True)
    assert (updated.canceled_at, updated.ended_at) == (fake.now, None)
    assert updated.cancel_at == item.current_period_end
    assert types_of(fake)[-1] == "customer.subscription.updated"
    fake.advance(40 * DAY)
    ended = api.subscriptions.retrieve(subscription.id)
    assert (ended.status, ended.cancel_at_period_end) == ("canceled", True)
    assert (ended.canceled_at, ended.ended_at) == (updated.canceled_at, item.current_period_end)
    assert types_of(fake)[-1] == "customer.subscription.deleted"
    assert len(api.invoices.list().data) == 1


def test_a_cancellation_at_period_end_can_be_revoked(fake, api, subscription):
    api.subscriptions.update(subscription.id, {"cancel_at_period_end": True})

    revoked = api.subscriptions.update(subscription.id, {"cancel_at_period_end": False})

    assert (revoked.cancel_at, revoked.canceled_at, revoked.cancel_at_period_end) == (
        None,
        None,
        False,
    )
    assert revoked.cancellation_details.reason is None
    fake.advance(40 * DAY)
    assert api.subscriptions.retrieve(subscription.id).status == "active"


@pytest.mark.usefixtures("still")
def test_a_subscription_that_ends_with_its_period_can_be_canceled_immediately(
    fake, api, subscription
):
    api.subscriptions.update(subscription.id, {"cancel_at_period_end": True})
    fake.advance(DAY)

    canceled = api.subscriptions.cancel(subscription.id)

    assert canceled.canceled_at == canceled.ended_at == fake.now
    assert not canceled.cancel_at_period_end


@pytest.mark.parametrize("sent", ["time", "min_period_end", "max_period_end"])
def test_a_subscription_can_be_canceled_at_a_given_time(fake, api, subscriber, plan, sent):
    at = fake.now + 10 * DAY

    subscription = subscribe(api, subscriber, cancel_at=at if sent == "time" else sent)

    (item,) = subscription["items"].data
    expected = at if sent == "time" else item.current_period_end
    assert (subscription.cancel_at, subscription.cancel_at_period_end) == (expected, False)
    fake.advance(40 * DAY)
    assert api.subscriptions.retrieve(subscription.id).ended_at == expected


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"cancel_at": 5}, "cancel_at"),
        ({"cancel_at": "tomorrow"}, "cancel_at"),
        ({"cancel_at": "max_billed_until"}, "cancel_at"),
        ({"cancel_at": 9_999_999_999, "cancel_at_period_end": True}, "cancel_at"),
    ],
)
def test_an_invalid_end_is_refused(api, subscription, params, param):
    assert refusal_of(api.subscriptions.update, subscription.id, params).param == param


@pytest.mark.usefixtures("still")
def test_a_canceled_incomplete_subscription_is_incomplete_expired(fake, api, plan):
    subscription = subscribe(api, customer_with(api, "pm_card_chargeCustomerFail"))

    canceled = api.subscriptions.cancel(subscription.id)

    assert (canceled.status, canceled.canceled_at) == ("incomplete_expired", fake.now)
    assert invoice_of(api, subscription).status == "void"
    assert refusal_of(api.subscriptions.cancel, subscription.id).http_status == 404


@pytest.mark.usefixtures("still")
def test_the_rest_of_the_period_is_credited_when_it_is_requested(
    fake, api, subscriber, subscription
):
    fake.advance(3 * DAY)
    (item,) = subscription["items"].data
    left = (item.current_period_end - fake.now) / (item.current_period_end - subscription.created)

    canceled = api.subscriptions.cancel(subscription.id, {"prorate": True, "invoice_now": True})

    final = invoice_of(api, canceled)
    assert final.total == pytest.approx(-1000 * left, abs=1)
    assert (final.status, final.amount_due) == ("paid", 0)
    assert api.customers.retrieve(subscriber.id).balance == final.total
    again = subscribe(api, subscriber)
    assert invoice_of(api, again).amount_due == 1000 + final.total


@pytest.mark.parametrize("params", [{"prorate": True}, {"invoice_now": True}, {}])
def test_nothing_is_credited_by_default(api, subscriber, subscription, params):
    api.subscriptions.cancel(subscription.id, params)

    assert api.customers.retrieve(subscriber.id).balance == 0


def test_deleting_a_customer_cancels_its_subscriptions(fake, api, subscriber, subscription):
    api.subscriptions.cancel(subscribe(api, subscriber).id)
    before = len(fake.events)

    api.customers.delete(subscriber.id)

    assert api.subscriptions.retrieve(subscription.id).status == "canceled"
    assert types_of(fake)[before : before + 2] == [
        "customer.subscription.deleted",
        "customer.deleted",
    ]
    assert len(api.subscriptions.list({"status": "canceled"}).data) == 2


# Changing


def test_the_description_and_the_metadata_can_be_changed(fake, api, subscription):
    changed = api.subscriptions.update(
        subscription.id, {"metadata": {"a": "1"}, "description": "Gold"}
    )
    cleared = api.subscriptions.update(subscription.id, {"description": "", "metadata": ""})

    assert (changed.metadata.a, changed.description) == ("1", "Gold")
    assert (cleared.metadata.to_dict(), cleared.description) == ({}, None)
    assert fake.events[-1]["data"]["previous_attributes"] == {
        "metadata": {"a": "1"},
        "description": "Gold",
    }


def test_an_update_without_a_change_sends_no_event(fake, api, subscription):
    before = len(fake.events)

    api.subscriptions.update(subscription.id, {"metadata": {}})

    assert len(fake.events) == before


def test_only_metadata_and_details_of_a_canceled_subscription_can_be_changed(api, subscription):
    api.subscriptions.cancel(subscription.id)

    changed = api.subscriptions.update(
        subscription.id, {"metadata": {"a": "1"}, "cancellation_details": {"comment": "Bye"}}
    )
    error = refusal_of(api.subscriptions.update, subscription.id, {"cancel_at_period_end": True})

    assert (changed.metadata.a, changed.cancellation_details.comment) == ("1", "Bye")
    assert changed.cancellation_details.reason == "cancellation_requested"
    assert error.http_status == 400


def test_the_end_of_an_incomplete_subscription_cannot_be_changed(api, plan):
    subscription = subscribe(api, customer_with(api, "pm_card_chargeCustomerFail"))

    error = refusal_of(api.subscriptions.update, subscription.id, {"cancel_at_period_end": True})

    assert error.http_status == 400
    assert api.subscriptions.update(subscription.id, {"metadata": {"a": "1"}}).metadata.a == "1"


def test_tax_rates_and_cards_can_be_changed(api, subscriber, subscription):
    rate = api.tax_rates.create({"display_name": "VAT", "percentage": 19, "inclusive": False})
    amex = attach(api, subscriber, "pm_card_amex")

    changed = api.subscriptions.update(
        subscription.id,
        {
            "default_tax_rates": [rate.id],
            "default_payment_method": amex.id,
            "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}},
        },
    )

    assert changed.default_tax_rates[0].id == rate.id
    assert changed.default_payment_method == amex.id
    assert changed.trial_settings.end_behavior.missing_payment_method == "pause"
    cleared = api.subscriptions.update(
        subscription.id, {"default_tax_rates": "", "default_payment_method": ""}
    )
    assert (cleared.default_tax_rates, cleared.default_payment_method) == ([], None)


def test_an_inactive_tax_rate_is_refused(api, subscriber, plan):
    rate = api.tax_rates.create(
        {"display_name": "VAT", "percentage": 19, "inclusive": False, "active": False}
    )

    error = refusal_of(lambda: subscribe(api, subscriber, default_tax_rates=[rate.id]))

    assert error.param == "default_tax_rates"


def test_items_can_be_changed_without_proration(fake, api, subscription):
    api.plans.create(plan_params(id="silver", amount=500))
    api.plans.create(plan_params(id="extra", amount=70))
    (item,) = subscription["items"].data

    changed = api.subscriptions.update(
        subscription.id,
        {
            "items": [
                {"id": item.id, "price": "silver", "metadata": {"a": "1"}},
                {"price": "extra", "quantity": 2},
            ],
            "proration_behavior": "none",
        },
    )

    silver, extra = changed["items"].data
    assert (silver.id, silver.price.id, silver.plan.id, silver.metadata.a) == (
        item.id,
        "silver",
        "silver",
        "1",
    )
    assert (extra.price.id, extra.current_period_end) == ("extra", item.current_period_end)
    fake.advance(32 * DAY)
    renewed = api.subscriptions.retrieve(subscription.id)
    assert invoice_of(api, renewed).total == 500 + 2 * 70
    kept = api.subscriptions.update(
        subscription.id,
        {
            "items": [{"id": silver.id, "deleted": True}, {"id": extra.id, "quantity": 5}],
            "proration_behavior": "none",
        },
    )
    assert [(each.price.id, each.quantity) for each in kept["items"].data] == [("extra", 5)]


@pytest.mark.parametrize(
    ("items", "param"),
    [
        ([{"id": "si_none"}], "items[0][id]"),
        ([{"price": "yearly", "id": "own"}], "items"),
        ([{"id": "own", "deleted": True}], "items"),
        ([{"price": "gold"}], "items"),
        ([{"price": "none"}], "items[0][price]"),
    ],
)
def test_invalid_items_are_refused(api, subscription, items, param):
    api.plans.create(plan_params(id="yearly", interval="year"))
    own = subscription["items"].data[0].id
    sent = [{**item, **({"id": own} if item.get("id") == "own" else {})} for item in items]

    error = refusal_of(
        api.subscriptions.update, subscription.id, {"items": sent, "proration_behavior": "none"}
    )

    assert error.param == param
    assert [each.id for each in api.subscriptions.retrieve(subscription.id)["items"].data] == [own]


def test_prorations_are_not_supported(api, subscription):
    item = {"id": subscription["items"].data[0].id, "quantity": 2}

    error = refusal_of(api.subscriptions.update, subscription.id, {"items": [item]})

    assert error.param == "proration_behavior"


# Idempotency, faults and the Dashboard


def test_the_same_key_creates_one_subscription(fake, api, subscriber, plan):
    params, options = (
        {"customer": subscriber.id, "items": [{"price": "gold"}]},
        {"idempotency_key": "k"},
    )

    first, second = (api.subscriptions.create(params, options) for _ in range(2))

    assert first.id == second.id
    assert fake.requests[-1].replayed
    assert len(fake.account.all("charge")) == 1
    with pytest.raises(stripe.IdempotencyError):
        api.subscriptions.create({**params, "metadata": {"a": "1"}}, options)


@pytest.mark.parametrize(
    ("fault", "made"), [(Fault.ANSWER_LOST, 1), (Fault.REQUEST_LOST, 0), (Fault.CONFLICT, 0)]
)
def test_faults_apply_to_subscriptions(fake, api, subscriber, plan, fault, made):
    fake.fail_next("POST /v1/subscriptions", fault)

    with pytest.raises(stripe.StripeError):
        subscribe(api, subscriber)

    assert len(fake.account.all("subscription")) == made


def test_staff_can_cancel_subscriptions(fake, api, subscriber, subscription):
    other = subscribe(api, subscriber)

    fake.dashboard_cancel_subscription(subscription.id)
    fake.dashboard_cancel_subscription(other.id, at_period_end=True)

    assert api.subscriptions.retrieve(subscription.id).status == "canceled"
    assert api.subscriptions.retrieve(other.id).cancel_at_period_end
    assert fake.events[-1]["request"]["id"] is None
