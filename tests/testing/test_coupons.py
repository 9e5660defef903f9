from __future__ import annotations

from decimal import Decimal

import pytest
import stripe

from aa_stripe.testing import Fault, Refusal
from tests.testing.conftest import refusal_of, subscribe, types_of

YEAR = 365 * 24 * 60 * 60


def test_a_coupon_can_take_off_a_percentage(api):
    coupon = api.coupons.create({"percent_off": 12.5, "duration": "forever", "name": "Summer"})

    assert (coupon.percent_off, coupon.amount_off, coupon.currency) == (12.5, None, None)
    assert (coupon.duration, coupon.duration_in_months, coupon.name) == ("forever", None, "Summer")
    assert (coupon.valid, coupon.times_redeemed, coupon.livemode) == (True, 0, False)


def test_a_coupon_can_take_off_an_amount(api):
    coupon = api.coupons.create({"amount_off": 500, "currency": "EUR"})

    assert (coupon.amount_off, coupon.currency, coupon.percent_off) == (500, "eur", None)
    assert coupon.duration == "once"


def test_a_coupon_can_last_for_some_months(api):
    coupon = api.coupons.create(
        {"percent_off": 100, "duration": "repeating", "duration_in_months": 3}
    )

    assert (coupon.duration, coupon.duration_in_months) == ("repeating", 3)


@pytest.mark.parametrize(
    ("currency", "amount"),
    [("usd", 1), ("jpy", 1), ("isk", 100), ("ugx", 500), ("kwd", 10), ("bif", 7), ("huf", 1)],
)
def test_an_amount_that_fits_its_currency_is_accepted(api, currency, amount):
    coupon = api.coupons.create({"amount_off": amount, "currency": currency})

    assert (coupon.amount_off, coupon.currency) == (amount, currency)


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({}, "parameter_missing", "percent_off"),
        ({"percent_off": 5, "amount_off": 5, "currency": "usd"}, "parameters_exclusive", None),
        ({"amount_off": 5}, "parameter_missing", "currency"),
        ({"amount_off": 5, "currency": "xxx"}, None, "currency"),
        ({"amount_off": 0, "currency": "usd"}, "parameter_invalid_integer", "amount_off"),
        ({"amount_off": -5, "currency": "usd"}, "parameter_invalid_integer", "amount_off"),
        ({"amount_off": "5.5", "currency": "usd"}, "parameter_invalid_integer", "amount_off"),
        ({"amount_off": 150, "currency": "isk"}, "parameter_invalid_integer", "amount_off"),
        ({"amount_off": 150, "currency": "ugx"}, "parameter_invalid_integer", "amount_off"),
        ({"amount_off": 15, "currency": "kwd"}, "parameter_invalid_integer", "amount_off"),
        ({"amount_off": 100_000_000, "currency": "usd"}, "amount_too_large", "amount_off"),
        ({"percent_off": 0}, None, "percent_off"),
        ({"percent_off": -1}, None, "percent_off"),
        ({"percent_off": 100.01}, None, "percent_off"),
        ({"percent_off": "12.345"}, None, "percent_off"),
        ({"percent_off": "half"}, None, "percent_off"),
        ({"percent_off": "NaN"}, None, "percent_off"),
        ({"percent_off": 5, "duration": "weekly"}, None, "duration"),
        ({"percent_off": 5, "duration": "repeating"}, "parameter_missing", "duration_in_months"),
        ({"percent_off": 5, "duration_in_months": 3}, None, "duration_in_months"),
        (
            {"percent_off": 5, "duration": "forever", "duration_in_months": 3},
            None,
            "duration_in_months",
        ),
        (
            {"percent_off": 5, "duration": "repeating", "duration_in_months": 0},
            "parameter_invalid_integer",
            "duration_in_months",
        ),
        ({"percent_off": 5, "max_redemptions": 0}, "parameter_invalid_integer", "max_redemptions"),
        ({"percent_off": 5, "name": "x" * 41}, None, "name"),
        ({"percent_off": 5, "metadata": {"k": "x" * 501}}, None, "metadata[k]"),
        ({"percent_off": 5, "currency_options": {"eur": {"amount_off": 1}}}, None, None),
        ({"percent_off": 5, "applies_to": {"products": ["p"]}}, None, "applies_to"),
        ({"percent_off": 5, "valid": True}, "parameter_unknown", "valid"),
    ],
)
def test_a_coupon_with_invalid_parameters_is_refused(fake, api, params, code, param):
    error = refusal_of(api.coupons.create, params)

    assert (error.http_status, error.code) == (400, code)
    assert param is None or error.param == param
    assert fake.account.all("coupon") == []


@pytest.mark.parametrize(
    ("seconds", "is_accepted"), [(60, True), (5 * YEAR, True), (0, False), (-60, False)]
)
def test_a_redemption_deadline_must_be_in_the_future(fake, api, seconds, is_accepted):
    params = {"percent_off": 5, "redeem_by": fake.now + seconds}

    if is_accepted:
        assert api.coupons.create(params).redeem_by == params["redeem_by"]
    else:
        assert refusal_of(api.coupons.create, params).param == "redeem_by"


def test_a_redemption_deadline_must_be_within_five_years(fake, api):
    error = refusal_of(
        api.coupons.create, {"percent_off": 5, "redeem_by": fake.now + 5 * 366 * 24 * 60 * 60 + 60}
    )

    assert error.param == "redeem_by"


def test_stripe_chooses_the_id_when_none_is_given(api):
    first = api.coupons.create({"percent_off": 5})
    second = api.coupons.create({"percent_off": 5, "id": ""})

    assert len(first.id) == len(second.id) == 8
    assert first.id != second.id


def test_a_second_coupon_of_the_same_id_is_refused(api):
    api.coupons.create({"percent_off": 5, "id": "SUMMER"})

    error = refusal_of(api.coupons.create, {"percent_off": 6, "id": "SUMMER"})

    assert (error.http_status, error.code) == (400, "resource_already_exists")
    assert error.user_message == "Coupon already exists."


@pytest.mark.parametrize(
    "id", ["a b", "a/b", "Rücken & Füße", "a+b", "a%2Fb", "?", "50%", "x" * 255]
)
def test_an_id_may_hold_any_characters(api, id):
    api.coupons.create({"percent_off": 5, "id": id})

    assert api.coupons.retrieve(id).id == id
    assert api.coupons.update(id, {"metadata": {"a": "1"}}).metadata.a == "1"
    assert api.coupons.delete(id).id == id
    assert refusal_of(api.coupons.retrieve, id).user_message == f"No such coupon: '{id}'"


def test_an_id_of_any_characters_works_over_http(fake):
    fake.dashboard_create_coupon(id="Füße / 2 + 1", percent_off=5)

    with fake.serve() as url:
        client = stripe.StripeClient("sk_test_1", base_addresses={"api": url})
        assert client.v1.coupons.retrieve("Füße / 2 + 1").percent_off == 5


def test_only_the_name_and_the_metadata_can_be_changed(fake, api):
    coupon = api.coupons.create({"percent_off": 5, "metadata": {"a": "1"}})

    changed = api.coupons.update(coupon.id, {"name": "Summer", "metadata": {"b": "2"}})

    assert (changed.name, changed.metadata.to_dict()) == ("Summer", {"a": "1", "b": "2"})
    event = fake.events[-1]
    assert event["type"] == "coupon.updated"
    assert event["data"]["previous_attributes"] == {"name": None, "metadata": {"a": "1"}}
    for params in ({"percent_off": 6}, {"max_redemptions": 5}, {"redeem_by": fake.now + 60}):
        assert refusal_of(api.coupons.update, coupon.id, params).code == "parameter_unknown"
    assert refusal_of(api.coupons.update, coupon.id, {"name": "x" * 41}).param == "name"
    assert api.coupons.update(coupon.id, {"name": ""}).name is None


@pytest.mark.filterwarnings("ignore:The `save` method is deprecated")
def test_the_deprecated_save_method_works(fake, api):
    coupon = api.coupons.create({"percent_off": 5})

    with fake:
        held = stripe.Coupon.retrieve(coupon.id)
        held.metadata["a"] = "1"
        held.save()

    assert api.coupons.retrieve(coupon.id).metadata.a == "1"


def test_a_coupon_can_have_amounts_in_further_currencies(api):
    coupon = api.coupons.create(
        {
            "amount_off": 500,
            "currency": "usd",
            "currency_options": {"eur": {"amount_off": 400}},
        }
    )

    api.coupons.update(coupon.id, {"currency_options": {"jpy": {"amount_off": 700}}})

    assert "currency_options" not in api.coupons.retrieve(coupon.id)
    expanded = api.coupons.retrieve(coupon.id, {"expand": ["currency_options"]}).to_dict()
    assert expanded["currency_options"] == {"eur": {"amount_off": 400}, "jpy": {"amount_off": 700}}
    listed = api.coupons.list({"expand": ["data.currency_options"]}).data[0]
    assert listed.currency_options.jpy.amount_off == 700
    error = refusal_of(
        api.coupons.update, coupon.id, {"currency_options": {"isk": {"amount_off": 50}}}
    )
    assert error.param == "currency_options[isk][amount_off]"


def test_the_members_of_currency_options_cannot_be_expanded(api):
    error = refusal_of(api.coupons.list, {"expand": ["data.currency_options.eur"]})

    assert "cannot be expanded" in str(error.user_message)


def test_a_deleted_coupon_is_unknown(fake, api):
    coupon = api.coupons.create({"percent_off": 5, "id": "SUMMER"})

    deleted = api.coupons.delete("SUMMER")

    assert deleted.to_dict() == {"id": "SUMMER", "object": "coupon", "deleted": True}
    for call in (api.coupons.retrieve, api.coupons.update, api.coupons.delete):
        error = refusal_of(call, "SUMMER")
        assert (error.http_status, error.code) == (404, "resource_missing")
        assert error.user_message == "No such coupon: 'SUMMER'"
    assert api.coupons.list().data == []
    assert types_of(fake) == ["coupon.created", "coupon.deleted"]
    assert fake.events[-1]["data"]["object"]["created"] == coupon.created


def test_the_id_of_a_deleted_coupon_can_be_used_again(fake, api):
    first = api.coupons.create({"percent_off": 5, "id": "SUMMER"})
    api.coupons.create({"percent_off": 5, "id": "OTHER"})
    api.coupons.delete("SUMMER")
    fake.advance(10)

    second = api.coupons.create({"percent_off": 50, "id": "SUMMER"})

    assert second.created > first.created
    assert api.coupons.retrieve("SUMMER").percent_off == 50
    assert [coupon.id for coupon in api.coupons.list().data] == ["SUMMER", "OTHER"]


def test_coupons_are_listed_newest_first_in_pages(fake, api):
    for number in range(101):
        fake.dashboard_create_coupon(id=f"c{number}", percent_off=5)

    page = api.coupons.list({"limit": 100})

    assert [coupon.id for coupon in page.data] == [f"c{number}" for number in range(100, 0, -1)]
    assert page.has_more
    assert [coupon.id for coupon in page.auto_paging_iter()][-1] == "c0"
    assert refusal_of(api.coupons.list, {"limit": 101}).param == "limit"


def test_a_coupon_created_while_listing_does_not_shift_the_pages(fake, api):
    for number in range(3):
        fake.dashboard_create_coupon(id=f"c{number}", percent_off=5)
    first = api.coupons.list({"limit": 2})

    fake.dashboard_create_coupon(id="late", percent_off=5)

    rest = api.coupons.list({"limit": 2, "starting_after": first.data[-1].id})
    assert [coupon.id for coupon in rest.data] == ["c0"]


def test_a_deleted_cursor_is_refused(fake, api):
    fake.dashboard_create_coupon(id="c0", percent_off=5)
    fake.dashboard_delete_coupon("c0")

    error = refusal_of(api.coupons.list, {"starting_after": "c0"})

    assert (error.http_status, error.code) == (400, "resource_missing")
    assert error.user_message == "No such coupon: 'c0'"


def test_coupons_are_listed_by_time(fake, api):
    first = api.coupons.create({"percent_off": 5})
    fake.advance(60)
    second = api.coupons.create({"percent_off": 5})

    def listed(created):
        return [coupon.id for coupon in api.coupons.list({"created": created}).data]

    assert listed({"gt": first.created}) == [second.id]
    assert listed({"lte": first.created}) == [first.id]
    assert listed(second.created) == [second.id]


def test_a_coupon_is_invalid_after_its_deadline(fake, api, subscriber, plan):
    coupon = api.coupons.create({"percent_off": 5, "redeem_by": fake.now + 60})

    fake.advance(61)

    assert not api.coupons.retrieve(coupon.id).valid
    assert not api.coupons.list().data[0].valid
    error = refusal_of(
        lambda: subscribe(api, subscriber, discounts=[{"coupon": coupon.id}]),
    )
    assert (error.http_status, error.code) == (400, "coupon_expired")


def test_a_coupon_is_invalid_after_its_last_redemption(api, subscriber, plan):
    coupon = api.coupons.create({"percent_off": 5, "max_redemptions": 2})
    for _ in range(2):
        subscribe(api, subscriber, discounts=[{"coupon": coupon.id}])

    used = api.coupons.retrieve(coupon.id)
    error = refusal_of(lambda: subscribe(api, subscriber, discounts=[{"coupon": coupon.id}]))

    assert (used.times_redeemed, used.valid) == (2, False)
    assert (error.http_status, error.param) == (400, "discounts[0][coupon]")


@pytest.mark.parametrize(
    ("fault", "made"),
    [
        (Fault.REQUEST_LOST, 0),
        (Fault.ANSWER_LOST, 1),
        (Fault.ERROR_500_BEFORE, 0),
        (Fault.ERROR_500_AFTER, 1),
        (Fault.RATE_LIMITED, 0),
    ],
)
def test_faults_apply_to_coupons(fake, api, fault, made):
    fake.fail_next("POST /v1/coupons", fault)

    with pytest.raises(stripe.StripeError):
        api.coupons.create({"percent_off": 5, "id": "SUMMER"})

    assert len(fake.account.all("coupon")) == made


def test_the_same_key_creates_one_coupon(fake, api):
    params, options = {"percent_off": 5, "id": "SUMMER"}, {"idempotency_key": "k"}

    assert api.coupons.create(params, options).id == api.coupons.create(params, options).id
    assert len(fake.account.all("coupon")) == 1


def test_staff_can_create_change_and_delete_coupons(fake, api):
    made = fake.dashboard_create_coupon(
        id="SUMMER", amount_off=500, currency="usd", metadata={"a": 1}, name=None
    )
    assert (made["amount_off"], made["metadata"], made["name"]) == (500, {"a": "1"}, None)
    fake.dashboard_edit_coupon("SUMMER", name="Summer", metadata={"b": True})

    coupon = api.coupons.retrieve("SUMMER")
    assert (coupon.name, coupon.metadata.to_dict()) == ("Summer", {"a": "1", "b": "true"})
    assert fake.dashboard_delete_coupon("SUMMER")["deleted"]
    assert types_of(fake) == ["coupon.created", "coupon.updated", "coupon.deleted"]
    assert {event["request"]["id"] for event in fake.events} == {None}


def test_staff_can_send_decimals_and_nested_parameters(fake, api):
    fake.dashboard_create_coupon(id="A", percent_off=Decimal("33.33"))

    assert api.coupons.retrieve("A").percent_off == 33.33
    with pytest.raises(Refusal, match="does not support applies_to"):
        fake.dashboard_create_coupon(percent_off=5, applies_to={"products": ["prod_1"]})


def test_the_dashboard_refuses_an_unknown_parameter(fake):
    with pytest.raises(Refusal, match="unknown parameter: percentage"):
        fake.dashboard_create_coupon(percentage=5)
