from __future__ import annotations

import pytest

from tests.testing.conftest import plan_params, refusal_of, subscribe, types_of

DAY = 24 * 60 * 60


def totals_of(api, subscription):
    """Return the totals of the subscription's invoices, oldest first."""
    invoices = api.invoices.list({"subscription": subscription.id, "limit": 100}).data
    return [invoice.total for invoice in invoices[::-1]]


def coupon_of(api, **params):
    return {"coupon": api.coupons.create(params).id}


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        ({"duration": "once"}, [750, 1000, 1000, 1000]),
        ({"duration": "forever"}, [750, 750, 750, 750]),
        ({"duration": "repeating", "duration_in_months": 2}, [750, 750, 1000, 1000]),
    ],
)
def test_a_discount_lasts_for_the_duration_of_its_coupon(
    fake, api, subscriber, plan, duration, expected
):
    coupon = coupon_of(api, percent_off=25, **duration)
    subscription = subscribe(api, subscriber, discounts=[coupon])

    fake.advance(95 * DAY)

    assert totals_of(api, subscription) == expected
    left = api.subscriptions.retrieve(subscription.id).discounts
    assert len(left) == (1 if duration == {"duration": "forever"} else 0)


def test_an_event_is_sent_when_a_discount_begins_and_ends(fake, api, subscriber, plan):
    coupon = coupon_of(api, percent_off=25)
    subscription = subscribe(api, subscriber, discounts=[coupon])
    created = next(each for each in fake.events if each["type"] == "customer.discount.created")

    fake.advance(32 * DAY)

    assert created["data"]["object"]["subscription"] == subscription.id
    assert types_of(fake).count("customer.discount.deleted") == 1


def test_a_discount_for_one_invoice_is_applied_after_the_trial(fake, api, subscriber, plan):
    coupon = coupon_of(api, percent_off=25)
    subscription = subscribe(api, subscriber, discounts=[coupon], trial_period_days=10)

    fake.advance(45 * DAY)

    assert totals_of(api, subscription) == [0, 750, 1000]


def test_a_redeemed_coupon_still_applies_after_its_deletion(fake, api, subscriber, plan):
    api.coupons.create({"id": "SUMMER", "percent_off": 25, "duration": "forever"})
    subscription = subscribe(api, subscriber, discounts=[{"coupon": "SUMMER"}])
    api.coupons.delete("SUMMER")
    api.coupons.create({"id": "SUMMER", "percent_off": 99, "duration": "once"})

    fake.advance(32 * DAY)

    assert totals_of(api, subscription) == [750, 750]


@pytest.mark.parametrize(
    ("params", "total"),
    [
        ({"percent_off": 25.5}, 745),
        ({"percent_off": 33.33}, 667),
        ({"percent_off": 0.05}, 999),
        ({"percent_off": 100}, 0),
        ({"amount_off": 300, "currency": "usd"}, 700),
        ({"amount_off": 5000, "currency": "usd"}, 0),
        (
            {
                "amount_off": 300,
                "currency": "eur",
                "currency_options": {"usd": {"amount_off": 400}},
            },
            600,
        ),
    ],
)
def test_a_coupon_takes_off_its_percentage_or_amount(api, subscriber, plan, params, total):
    subscription = subscribe(api, subscriber, discounts=[coupon_of(api, **params)])

    (invoice,) = api.invoices.list({"subscription": subscription.id}).data
    assert (invoice.subtotal, invoice.total, invoice.status) == (1000, total, "paid")
    (taken,) = invoice.total_discount_amounts
    assert taken.amount == 1000 - total
    assert [taken.discount] == subscription.discounts == invoice.discounts


def test_several_discounts_are_applied_one_after_the_other(api, subscriber, plan):
    discounts = [
        coupon_of(api, percent_off=50),
        coupon_of(api, amount_off=600, currency="usd"),
        coupon_of(api, percent_off=10),
    ]

    subscription = subscribe(api, subscriber, discounts=discounts)

    (invoice,) = api.invoices.list({"subscription": subscription.id}).data
    assert [taken.amount for taken in invoice.total_discount_amounts] == [500, 500]
    assert len(subscription.discounts) == 3


def test_a_coupon_in_another_currency_is_refused(fake, api, subscriber, plan):
    coupon = coupon_of(api, amount_off=300, currency="eur")

    error = refusal_of(lambda: subscribe(api, subscriber, discounts=[coupon]))

    assert (error.http_status, error.param) == (400, "discounts[0][coupon]")
    assert api.coupons.retrieve(coupon["coupon"]).times_redeemed == 0


def test_no_card_is_needed_if_the_total_is_zero(api, plan):
    coupon = coupon_of(api, percent_off=100)

    assert subscribe(api, api.customers.create(), discounts=[coupon]).status == "active"


def test_discounts_are_replaced_kept_and_cleared(fake, api, subscriber, plan):
    first = subscribe(api, subscriber, discounts=[coupon_of(api, percent_off=25)])
    (held,) = first.discounts

    both = api.subscriptions.update(
        first.id, {"discounts": [{"discount": held}, coupon_of(api, percent_off=10)]}
    )
    assert both.discounts[0] == held
    assert len(both.discounts) == 2
    unchanged = api.subscriptions.update(first.id, {"discounts": []})
    assert unchanged.discounts == both.discounts
    replaced = api.subscriptions.update(first.id, {"discounts": [coupon_of(api, percent_off=5)]})
    assert len(replaced.discounts) == 1
    assert types_of(fake).count("customer.discount.deleted") == 2
    cleared = api.subscriptions.update(first.id, {"discounts": ""})
    assert cleared.discounts == []


def test_all_discounts_can_be_deleted(api, subscriber, plan):
    subscription = subscribe(api, subscriber, discounts=[coupon_of(api, percent_off=25)])

    deleted = api.subscriptions.delete_discount(subscription.id)

    assert (deleted.id, deleted.deleted) == (subscription.discounts[0], True)
    assert api.subscriptions.retrieve(subscription.id).discounts == []
    assert refusal_of(api.subscriptions.delete_discount, subscription.id).http_status == 404


def test_a_discount_with_an_unknown_parameter_is_refused(api, fake, subscriber, plan):
    error = refusal_of(lambda: subscribe(api, subscriber, discounts=[{"zzz": "1"}]))

    assert error.code == "parameter_unknown"


# Taxes


@pytest.mark.parametrize(
    ("percentage", "inclusive", "total", "tax"),
    [
        (19, False, 1190, 190),
        (8.25, False, 1083, 83),
        (19, True, 1000, 160),
        (0, False, 1000, 0),
        (7.7777, False, 1078, 78),
    ],
)
def test_a_tax_is_added_to_the_total_or_included_in_it(
    api, subscriber, plan, percentage, inclusive, total, tax
):
    rate = api.tax_rates.create(
        {"display_name": "VAT", "percentage": percentage, "inclusive": inclusive}
    )

    subscription = subscribe(api, subscriber, default_tax_rates=[rate.id])

    (invoice,) = api.invoices.list({"subscription": subscription.id}).data
    assert (invoice.total, invoice.total_excluding_tax) == (total, total - tax)
    (due,) = invoice.total_taxes
    assert (due.amount, due.tax_rate_details.tax_rate) == (tax, rate.id)
    assert due.taxable_amount == total - tax


def test_the_tax_is_calculated_after_the_discount(api, subscriber, plan):
    rate = api.tax_rates.create({"display_name": "VAT", "percentage": 10, "inclusive": False})

    subscription = subscribe(
        api,
        subscriber,
        default_tax_rates=[rate.id],
        discounts=[coupon_of(api, percent_off=50)],
    )

    assert totals_of(api, subscription) == [550]


def test_amounts_are_rounded_to_whole_units_in_a_currency_without_decimals(api, subscriber):
    api.plans.create(plan_params(id="gold", currency="isk", amount=100_100))
    rate = api.tax_rates.create({"display_name": "VAT", "percentage": 24, "inclusive": False})

    subscription = subscribe(
        api,
        subscriber,
        default_tax_rates=[rate.id],
        discounts=[coupon_of(api, percent_off=12.5)],
    )

    (invoice,) = api.invoices.list({"subscription": subscription.id}).data
    assert invoice.total_discount_amounts[0].amount == 12_500
    assert invoice.total_taxes[0].amount == 21_000
    assert invoice.status == "paid"


# Balances


def test_an_amount_too_small_to_collect_is_added_to_the_next_invoice(fake, api, subscriber):
    api.plans.create(plan_params(id="gold", amount=30))

    subscription = subscribe(api, subscriber)

    assert subscription.status == "active"
    (first,) = api.invoices.list({"subscription": subscription.id}).data
    assert (first.amount_due, first.ending_balance, first.status) == (0, 30, "paid")
    fake.advance(32 * DAY)
    second = api.invoices.retrieve(api.subscriptions.retrieve(subscription.id).latest_invoice)
    assert (second.starting_balance, second.amount_due, second.amount_paid) == (30, 60, 60)
    assert api.customers.retrieve(subscriber.id).balance == 0


def test_a_credit_balance_is_used_first(api, subscriber, plan):
    api.customers.update(subscriber.id, {"balance": -1500})

    first = subscribe(api, subscriber)
    second = subscribe(api, subscriber)

    due = [api.invoices.retrieve(item.latest_invoice).amount_due for item in (first, second)]
    assert due == [0, 500]
