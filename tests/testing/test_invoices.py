from __future__ import annotations

import stripe

from tests.testing.conftest import (
    attach,
    change_card,
    customer_with,
    refusal_of,
    subscribe,
    types_of,
)


def test_an_invoice_describes_its_subscription_and_period(api, subscriber, subscription):
    invoice = api.invoices.retrieve(subscription.latest_invoice)

    assert (invoice.status, invoice.billing_reason) == ("paid", "subscription_create")
    assert (invoice.subtotal, invoice.total, invoice.amount_paid) == (1000, 1000, 1000)
    assert invoice.customer == subscriber.id
    assert invoice.parent.subscription_details.subscription == subscription.id
    (line,) = invoice.lines.data
    assert (line.amount, line.description, line.invoice) == (1000, "1 x Gold", invoice.id)
    assert line.parent.subscription_item_details.subscription == subscription.id
    assert line.pricing.price_details.price == "gold"
    (item,) = subscription["items"].data
    assert (line.period.start, line.period.end) == (
        item.current_period_start,
        item.current_period_end,
    )


def test_invoices_are_numbered(api, subscriber, subscription):
    prefix = api.customers.retrieve(subscriber.id).invoice_prefix

    second = subscribe(api, subscriber)

    numbers = [api.invoices.retrieve(each.latest_invoice).number for each in (subscription, second)]
    assert numbers == [f"{prefix}-0001", f"{prefix}-0002"]


def test_invoices_are_listed(api, subscriber, subscription):
    open_one = subscribe(api, customer_with(api, "pm_card_chargeCustomerFail"))

    def listed(**params):
        return [item.id for item in api.invoices.list(params).data]

    assert listed() == [open_one.latest_invoice, subscription.latest_invoice]
    assert listed(status="open") == [open_one.latest_invoice]
    assert listed(subscription=subscription.id) == [subscription.latest_invoice]
    assert listed(customer=subscriber.id) == [subscription.latest_invoice]
    assert listed(collection_method="send_invoice") == []
    assert refusal_of(api.invoices.list, {"due_date": 5}).param == "due_date"


def test_a_payment_links_the_invoice_and_the_intent(api, subscriber, subscription):
    invoice = api.invoices.retrieve(subscription.latest_invoice, {"expand": ["payments"]})
    (payment,) = invoice.payments.data

    intent = api.payment_intents.retrieve(payment.payment.payment_intent)
    (found,) = api.invoice_payments.list(
        {"payment": {"type": "payment_intent", "payment_intent": intent.id}}
    ).data
    read = api.invoice_payments.retrieve(
        payment.id, {"expand": ["payment.payment_intent.latest_charge", "invoice"]}
    )

    assert (intent.amount, intent.customer) == (1000, subscriber.id)
    assert (intent.description, intent.setup_future_usage) == (
        "Subscription creation",
        "off_session",
    )
    assert found.id == payment.id
    assert read.invoice.id == invoice.id
    assert read.payment.payment_intent.latest_charge.paid
    assert (read.amount_paid, read.amount_requested, read.status) == (1000, 1000, "paid")
    assert api.invoice_payments.list({"status": "open"}).data == []


def test_a_paid_invoice_cannot_be_paid_again(api, subscription):
    error = refusal_of(api.invoices.pay, subscription.latest_invoice)

    assert (error.http_status, error.user_message) == (400, "Invoice is already paid")


def test_an_invoice_can_be_paid_only_with_a_card_of_the_customer(api, plan):
    customer = customer_with(api, "pm_card_chargeCustomerFail")
    subscription = subscribe(api, customer)
    amex = attach(api, customer, "pm_card_amex")
    foreign_card = attach(api, api.customers.create(), "pm_card_visa")

    error = refusal_of(
        api.invoices.pay, subscription.latest_invoice, {"payment_method": foreign_card.id}
    )
    paid = api.invoices.pay(subscription.latest_invoice, {"payment_method": amex.id})

    assert "does not belong" in str(error.user_message)
    assert paid.status == "paid"
    assert paid.status_transitions.paid_at


def test_a_declined_payment_is_a_402(fake, api, plan):
    subscription = subscribe(api, customer_with(api, "pm_card_chargeCustomerFail"))

    error = refusal_of(api.invoices.pay, subscription.latest_invoice, kind=stripe.CardError)

    assert (error.http_status, error.code) == (402, "card_declined")
    assert api.invoices.retrieve(subscription.latest_invoice).attempt_count == 2
    assert types_of(fake)[-1] == "invoice.payment_failed"
    assert api.subscriptions.retrieve(subscription.id).status == "incomplete"


def test_3d_secure_is_required_when_the_customer_is_on_session(fake, api, plan):
    customer = customer_with(api, "pm_card_chargeCustomerFail")
    subscription = subscribe(api, customer)
    change_card(api, customer, "pm_card_authenticationRequired")

    invoice = api.invoices.pay(subscription.latest_invoice, {"off_session": False})

    assert invoice.status == "open"
    assert types_of(fake)[-1] == "invoice.payment_action_required"


def test_an_unsupported_parameter_is_rejected(api, subscription):
    error = refusal_of(api.invoices.pay, subscription.latest_invoice, {"paid_out_of_band": True})

    assert error.param == "paid_out_of_band"


def test_a_subscription_whose_first_invoice_is_void_expires(api, plan):
    subscription = subscribe(api, customer_with(api, "pm_card_chargeCustomerFail"))

    assert api.invoices.void_invoice(subscription.latest_invoice).status == "void"

    assert api.subscriptions.retrieve(subscription.id).status == "incomplete_expired"


def test_a_payment_without_an_invoice_sends_no_invoice_event(fake, api, paid):
    assert not [type for type in types_of(fake) if type.startswith("invoice")]
