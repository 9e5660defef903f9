from __future__ import annotations

from functools import partial

import pytest
import stripe

from tests.testing.conftest import attach, intent_params, types_of


def unexpected_state(call, *args):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        call(*args)
    assert (caught.value.http_status, caught.value.code) == (400, "payment_intent_unexpected_state")
    return caught.value.error.payment_intent


def test_creating_an_intent_collects_no_money(fake, api, customer):
    made = api.payment_intents.create(
        intent_params(
            customer=customer.id,
            description="Order 1",
            metadata={"uuid": "1"},
            statement_descriptor_suffix="ORDER 1",
            receipt_email="ada@example.com",
        )
    )

    found = api.payment_intents.retrieve(made.id)
    assert found.to_dict() == made.to_dict()
    assert found.status == "requires_payment_method"
    assert (found.amount, found.amount_received, found.currency) == (1000, 0, "usd")
    assert (found.customer, found.description) == (customer.id, "Order 1")
    assert found.statement_descriptor_suffix == "ORDER 1"
    assert found.client_secret.startswith(f"{found.id}_secret_")
    assert found.latest_charge is None
    assert api.charges.list().data == []
    assert types_of(fake)[-1] == "payment_intent.created"


def test_an_invalid_receipt_email_is_refused(api, intent):
    changed = partial(api.payment_intents.update, intent.id)
    for send in (lambda params: api.payment_intents.create(intent_params(**params)), changed):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            send({"receipt_email": "ada@com"})

        assert (caught.value.code, caught.value.param) == ("email_invalid", "receipt_email")


def test_the_same_key_creates_one_intent(api):
    key = {"idempotency_key": "row-1"}

    first = api.payment_intents.create(intent_params(), key)

    assert api.payment_intents.create(intent_params(), key).id == first.id


def test_an_intent_can_be_changed_before_it_is_paid(api, intent):
    other = api.customers.create({"payment_method": "pm_card_mastercard"})

    updated = api.payment_intents.update(
        intent.id,
        {"amount": 1200, "description": "More", "customer": other.id, "metadata": {"a": "1"}},
    )

    assert (updated.amount, updated.description, updated.customer) == (1200, "More", other.id)
    assert updated.metadata["a"] == "1"


def test_after_a_change_of_customer_only_cards_of_the_new_customer_are_accepted(api, intent, card):
    other = api.customers.create({"payment_method": "pm_card_mastercard"})
    api.payment_intents.update(intent.id, {"customer": other.id})

    with pytest.raises(stripe.InvalidRequestError, match="does not belong to the Customer"):
        api.payment_intents.confirm(intent.id, {"payment_method": card.id})
    (own_card,) = api.customers.payment_methods.list(other.id).data
    paid = api.payment_intents.confirm(intent.id, {"payment_method": own_card.id})
    assert paid.status == "succeeded"


def test_an_intent_with_a_card_cannot_be_moved_to_another_customer(api, customer, card):
    intent = api.payment_intents.create(intent_params(customer=customer.id, payment_method=card.id))
    other = api.customers.create()

    with pytest.raises(stripe.InvalidRequestError, match="does not belong to the Customer"):
        api.payment_intents.update(intent.id, {"customer": other.id})


def test_the_currency_can_be_changed_if_the_amount_fits(api, intent):
    assert api.payment_intents.update(intent.id, {"currency": "EUR"}).currency == "eur"
    with pytest.raises(stripe.InvalidRequestError, match="multiple of 100"):
        api.payment_intents.update(intent.id, {"currency": "isk", "amount": 1001})


def test_confirming_an_intent_collects_the_money(fake, api, intent, customer, card):
    paid = api.payment_intents.confirm(
        intent.id, {"payment_method": card.id, "off_session": True, "expand": ["latest_charge"]}
    )

    assert (paid.status, paid.amount_received) == ("succeeded", 1000)
    charge = paid.latest_charge
    assert (charge.amount, charge.amount_captured, charge.currency) == (1000, 1000, "usd")
    assert charge.paid
    assert charge.captured
    assert (charge.payment_intent, charge.customer) == (intent.id, customer.id)
    assert charge.payment_method == card.id
    assert charge.payment_method_details.card.last4 == "4242"
    assert types_of(fake)[-2:] == ["charge.succeeded", "payment_intent.succeeded"]


def test_latest_charge_is_an_id(api, paid):
    assert paid.latest_charge.startswith("ch_")


def test_a_paid_intent_cannot_be_confirmed_canceled_or_changed(api, paid, card):
    calls = [
        (api.payment_intents.confirm, paid.id, {"payment_method": card.id}),
        (api.payment_intents.cancel, paid.id),
        (api.payment_intents.update, paid.id, {"amount": 1200}),
        (api.payment_intents.update, paid.id, {"currency": "eur"}),
        (api.payment_intents.update, paid.id, {"customer": api.customers.create().id}),
        (api.payment_intents.capture, paid.id),
    ]

    for call in calls:
        assert unexpected_state(*call).status == "succeeded"
    assert len(api.charges.list().data) == 1


def test_the_description_of_a_paid_intent_can_be_changed(api, paid):
    updated = api.payment_intents.update(paid.id, {"description": "New", "metadata": {"a": "1"}})

    assert (updated.description, updated.metadata["a"]) == ("New", "1")


def test_after_a_decline_the_charge_is_failed_and_the_intent_is_open(fake, api, intent, customer):
    card = attach(api, customer, "pm_card_chargeCustomerFail")

    with pytest.raises(stripe.CardError) as caught:
        api.payment_intents.confirm(intent.id, {"payment_method": card.id, "off_session": True})

    error = caught.value.error
    found = api.payment_intents.retrieve(intent.id)
    assert error.payment_intent.to_dict() == found.to_dict()
    assert error.payment_method.id == card.id
    assert (found.status, found.payment_method) == ("requires_payment_method", None)
    assert found.latest_charge == error.charge
    assert found.last_payment_error.code == "card_declined"
    assert found.last_payment_error.charge == error.charge
    assert found.last_payment_error.payment_method.id == card.id
    charge = api.charges.retrieve(error.charge)
    assert (charge.status, charge.paid, charge.captured) == ("failed", False, False)
    assert charge.failure_code == "card_declined"
    assert charge.outcome.type == "issuer_declined"
    assert types_of(fake)[-2:] == ["charge.failed", "payment_intent.payment_failed"]


def test_after_a_decline_a_good_card_can_pay(api, intent, card):
    with pytest.raises(stripe.CardError):
        api.payment_intents.confirm(intent.id, {"payment_method": "pm_card_chargeDeclined"})

    paid = api.payment_intents.confirm(intent.id, {"payment_method": card.id})

    assert (paid.status, paid.last_payment_error) == ("succeeded", None)
    assert [charge.status for charge in api.charges.list({"payment_intent": intent.id})] == [
        "succeeded",
        "failed",
    ]


def test_an_update_clears_the_last_error(api, intent):
    with pytest.raises(stripe.CardError):
        api.payment_intents.confirm(intent.id, {"payment_method": "pm_card_chargeDeclined"})

    assert api.payment_intents.update(intent.id, {"amount": 1100}).last_payment_error is None


def test_a_canceled_intent_cannot_be_paid(fake, api, intent, card):
    canceled = api.payment_intents.cancel(intent.id, {"cancellation_reason": "duplicate"})

    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "duplicate")
    assert canceled.canceled_at is not None
    assert types_of(fake)[-1] == "payment_intent.canceled"
    for call in (
        (api.payment_intents.confirm, intent.id, {"payment_method": card.id}),
        (api.payment_intents.cancel, intent.id),
    ):
        assert unexpected_state(*call).status == "canceled"


def test_creating_and_confirming_can_be_one_step(api, customer, card):
    paid = api.payment_intents.create(
        intent_params(customer=customer.id, payment_method=card.id, confirm=True, off_session=True)
    )

    assert paid.status == "succeeded"


def test_a_test_payment_method_is_created_once_for_each_intent(fake, api):
    before = len(fake.account.all("payment_method"))

    api.payment_intents.create(intent_params(payment_method="pm_card_visa", confirm=True))

    assert len(fake.account.all("payment_method")) == before + 1


def test_an_intent_with_a_payment_method_requires_confirmation(api, customer, card):
    intent = api.payment_intents.create(intent_params(customer=customer.id, payment_method=card.id))

    assert intent.status == "requires_confirmation"
    assert api.payment_intents.confirm(intent.id).status == "succeeded"


def test_an_update_with_a_payment_method_requires_confirmation(api, intent, card):
    updated = api.payment_intents.update(intent.id, {"payment_method": card.id})

    assert (updated.status, updated.payment_method) == ("requires_confirmation", card.id)


def test_the_customers_default_payment_method_is_not_used_automatically(
    api, intent, customer, card
):
    api.customers.update(customer.id, {"invoice_settings": {"default_payment_method": card.id}})

    assert unexpected_state(api.payment_intents.confirm, intent.id).id == intent.id


def test_an_intent_without_a_payment_method_cannot_be_confirmed(api):
    intent = api.payment_intents.create(intent_params())

    unexpected_state(api.payment_intents.confirm, intent.id)


def test_a_customers_card_is_refused_on_an_intent_without_the_customer(api, card):
    intent = api.payment_intents.create(intent_params())

    with pytest.raises(stripe.InvalidRequestError, match="Please include the Customer") as caught:
        api.payment_intents.confirm(intent.id, {"payment_method": card.id})
    assert (caught.value.code, caught.value.param) == ("parameter_missing", "source")


def test_a_card_can_be_saved_with_the_payment(api, customer, intent):
    paid = api.payment_intents.confirm(
        intent.id, {"payment_method": "pm_card_amex", "setup_future_usage": "off_session"}
    )

    assert api.payment_methods.retrieve(paid.payment_method).customer == customer.id


def test_a_return_url_is_required_if_a_method_might_redirect(api):
    params = {"amount": 1000, "currency": "usd"}
    intent = api.payment_intents.create(params)

    with pytest.raises(stripe.InvalidRequestError, match="you must provide a `return_url`"):
        api.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    paid = api.payment_intents.confirm(
        intent.id, {"payment_method": "pm_card_visa", "return_url": "https://example.com"}
    )
    assert paid.status == "succeeded"


def test_no_return_url_is_required_without_automatic_payment_methods(api):
    paid = api.payment_intents.create(
        intent_params(
            automatic_payment_methods={"enabled": False},
            payment_method="pm_card_visa",
            confirm=True,
        )
    )

    assert paid.status == "succeeded"
    assert paid.payment_method_types == ["card"]


@pytest.mark.parametrize("name", ["off_session", "error_on_requires_action"])
def test_a_parameter_of_the_confirmation_is_refused_without_one(api, name):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.payment_intents.create(intent_params(**{name: True}))

    assert caught.value.param == name


def test_an_unsupported_parameter_is_rejected(api, intent):
    with pytest.raises(stripe.InvalidRequestError, match="does not support transfer_data"):
        api.payment_intents.create(intent_params(transfer_data={"destination": "acct_1"}))
    with pytest.raises(stripe.InvalidRequestError, match="does not support confirmation_token"):
        api.payment_intents.confirm(intent.id, {"confirmation_token": "ctoken_1"})


def test_a_statement_descriptor_is_refused_for_a_card(api, card, customer):
    intent = api.payment_intents.create(
        intent_params(customer=customer.id, statement_descriptor="SHOP")
    )

    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.payment_intents.confirm(intent.id, {"payment_method": card.id})
    assert caught.value.param == "statement_descriptor"


@pytest.mark.parametrize("name", ["payment_method_types", "allowed_payment_method_types"])
def test_a_statement_descriptor_is_refused_immediately_if_the_type_is_card(fake, name):
    from aa_stripe.testing.base.refusals import Refusal
    from aa_stripe.testing.resources import payment_intents

    params = {"amount": 1000, "currency": "usd", name: ["card"]}

    with pytest.raises(Refusal, match="statement_descriptor_suffix"):
        payment_intents.create(fake.account, {**params, "statement_descriptor": "SHOP"})
    intent = payment_intents.create(fake.account, params)
    with pytest.raises(Refusal, match="statement_descriptor_suffix"):
        payment_intents.update(fake.account, {"statement_descriptor": "SHOP"}, intent["id"])
    with pytest.raises(Refusal, match="only specify one"):
        payment_intents.create(
            fake.account, {**params, "automatic_payment_methods": {"enabled": True}}
        )


@pytest.mark.parametrize("suffix", ["x" * 23, "A<B", "123"])
def test_an_invalid_statement_descriptor_suffix_is_refused(api, suffix):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.payment_intents.create(intent_params(statement_descriptor_suffix=suffix))

    assert caught.value.param == "statement_descriptor_suffix"


def test_an_authorized_amount_can_be_captured_in_part(fake, api):
    held = api.payment_intents.create(
        intent_params(capture_method="manual", payment_method="pm_card_visa", confirm=True)
    )
    assert (held.status, held.amount_capturable) == ("requires_capture", 1000)
    assert not api.charges.retrieve(held.latest_charge).captured
    assert types_of(fake)[-1] == "payment_intent.amount_capturable_updated"

    captured = api.payment_intents.capture(
        held.id, {"amount_to_capture": 600, "metadata": {"a": "1"}}
    )

    assert (captured.status, captured.amount_received, captured.amount_capturable) == (
        "succeeded",
        600,
        0,
    )
    assert captured.metadata["a"] == "1"
    assert api.charges.retrieve(held.latest_charge).amount_captured == 600
    assert types_of(fake)[-2:] == ["charge.captured", "payment_intent.succeeded"]


def test_an_authorized_amount_can_be_captured_in_full(api):
    held = api.payment_intents.create(
        intent_params(capture_method="manual", payment_method="pm_card_visa", confirm=True)
    )

    assert api.payment_intents.capture(held.id).amount_received == 1000


@pytest.mark.parametrize(
    ("amount", "code"), [(-1, "parameter_invalid_integer"), (1001, "amount_too_large")]
)
def test_no_more_than_the_authorized_amount_can_be_captured(api, amount, code):
    held = api.payment_intents.create(
        intent_params(capture_method="manual", payment_method="pm_card_visa", confirm=True)
    )

    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.payment_intents.capture(held.id, {"amount_to_capture": amount})
    assert (caught.value.code, caught.value.param) == (code, "amount_to_capture")


def test_canceling_releases_the_authorized_amount(api):
    held = api.payment_intents.create(
        intent_params(capture_method="manual", payment_method="pm_card_visa", confirm=True)
    )

    api.payment_intents.cancel(held.id)

    assert api.charges.retrieve(held.latest_charge).refunded


def test_intents_are_listed_by_customer_and_time(fake, api, intent, customer):
    found = api.payment_intents.list({"customer": customer.id, "created": {"gte": intent.created}})
    assert [each.id for each in found] == [intent.id]

    other = api.customers.create()
    assert api.payment_intents.list({"customer": other.id}).data == []
    assert api.payment_intents.list({"created": {"gt": fake.now + 10}}).data == []


def test_a_listed_intent_has_its_metadata(api):
    api.payment_intents.create(intent_params(metadata={"uuid": "1"}))

    assert api.payment_intents.list().data[0].metadata["uuid"] == "1"


def test_the_intents_of_a_deleted_customer_are_not_listed_by_customer(api, intent, customer):
    api.customers.delete(customer.id)

    with pytest.raises(stripe.InvalidRequestError) as raised:
        api.payment_intents.list({"customer": customer.id})

    assert (raised.value.http_status, raised.value.code) == (400, "resource_missing")
    assert [each.id for each in api.payment_intents.list()] == [intent.id]


def test_listing_the_intents_of_an_unknown_customer_is_refused(api):
    with pytest.raises(stripe.InvalidRequestError, match="No such customer: 'cus_none'"):
        api.payment_intents.list({"customer": "cus_none"})


def test_a_deleted_customer_cannot_be_charged(api, customer, intent):
    api.customers.delete(customer.id)

    for call in (
        (api.payment_intents.create, intent_params(customer=customer.id)),
        (api.payment_intents.confirm, intent.id),
    ):
        with pytest.raises(stripe.InvalidRequestError, match="No such customer") as caught:
            call[0](*call[1:])
        assert (caught.value.http_status, caught.value.param) == (400, "customer")


def test_an_unknown_intent_is_a_404(api):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.payment_intents.retrieve("pi_none")

    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")


@pytest.mark.parametrize("name", ["payment_intents", "setup_intents"])
def test_payment_method_types_are_accepted_with_each_sdk(api, name):
    required = {"amount": 1000, "currency": "usd"} if name == "payment_intents" else {}
    intents = getattr(api, name)

    intent = intents.create({**required, "payment_method_types": ["card"]})
    paid = intents.confirm(intent.id, {"payment_method": "pm_card_visa"})

    assert intent.payment_method_types == ["card"]
    assert intent.automatic_payment_methods is None
    assert paid.status == "succeeded"
    assert intents.update(intent.id, {"metadata": {"order": "1"}}).payment_method_types == ["card"]
