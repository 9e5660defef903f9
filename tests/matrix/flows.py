"""What a site does with this package, from the first card to the closed account.

Each site of the matrix runs all of these tests; ``test_matrix.py`` starts them. A test calls
``catch_up()`` where time passes: before a person opens a page. Otherwise a replica has no row.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
import stripe
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import ProtectedError

from aa_stripe.jobs import charge_pending
from aa_stripe.models import (
    StripeCharge,
    StripeCoupon,
    StripeCustomer,
    StripeRefund,
    StripeSubscription,
    StripeSubscriptionPlan,
    StripeWebhook,
)
from aa_stripe.testing import Fault
from aa_stripe.utils import local_date, to_datetime
from tests.admin.conftest import list_url, row_url
from tests.api.requests import CUSTOMERS, SETUP_INTENTS, charge_url, confirm, of
from tests.jobs.events import TYPE, add_event
from tests.matrix.conftest import new_customer
from tests.matrix.site import catch_up, every, new_person, staff, stored
from tests.support.payments import CONFIRM, amounts_refunded, authenticate, intents, paid
from tests.webhooks.account import NEW, REDELIVERED, deliver, errors, events_of

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

SALE = {"coupon_id": "SALE 10/ü", "duration": "once", "percent_off": 10}


def card(token):
    return {"stripe_js_response": {"id": token}}


def post(person, token):
    return person.api.post(CUSTOMERS, card(token), format="json")


def patch(person, customer, token):
    return person.api.patch(of(customer), card(token), format="json")


def new_charge(person, **fields):
    return StripeCharge.objects.create(**{"user": person.payer, "amount": 1000, **fields})


def new_plan():
    plan = StripeSubscriptionPlan.objects.create(name="gold", amount=5000, interval="month")
    plan.create_at_stripe()
    return plan


def new_subscription(person, **fields):
    row = StripeSubscription.objects.create(user=person.payer, plan=new_plan(), **fields)
    row.create_at_stripe()
    return row


def all_delivered(fake, *types):
    """Deliver the events; return whether each is new, and is applied without an error."""
    events = events_of(fake, *types)
    assert events
    return set(deliver(fake, *events)) == {NEW} and errors(fake) == {}


# Customers and cards


def test_a_customer_is_created_over_http(person, fake):
    first, second = post(person, "tok_visa"), post(person, "tok_visa")

    customer = every(StripeCustomer).get()
    catch_up()
    details = person.api.get(of(customer))
    assert (first.status_code, second.status_code, details.status_code) == (201, 201, 200)
    assert customer.user_id == person.payer.pk == first.data["user"] == details.data["user"]
    assert details.json()["default_source_data"]["last4"] == "4242"
    assert [it["id"] for it in fake.account.all("customer")] == [customer.stripe_customer_id]


def test_a_customer_is_created_in_code(person, fake):
    customer = new_customer(person)

    assert stored(customer).is_created_at_stripe
    assert StripeCustomer.get_latest_active_customer_for_user(person.payer) == customer
    found = StripeCustomer.get_or_create_at_stripe(person.payer, {"id": "tok_mastercard"})
    assert StripeCustomer.get_latest_active_customer_for_user(person.payer) == found
    descriptions = [it["description"] for it in fake.account.all("customer")]
    assert descriptions == [f"{person.payer} id: {person.payer.pk}"] * 2


def test_a_second_card_becomes_the_default(person, customer, fake):
    customer.add_new_source("tok_mastercard")

    row = stored(customer)
    assert [it["last4"] for it in row.sources].count("4444") == 1
    assert (len(row.sources), row.default_source_data["last4"]) == (2, "4444")
    charge = new_charge(person)
    charge.charge()
    assert paid(fake)[0]["payment_method"] == row.default_source


def test_a_card_is_replaced_over_http(person, customer):
    catch_up()

    response = patch(person, customer, "tok_mastercard")

    assert (response.status_code, response.data["user"]) == (200, person.payer.pk)
    assert stored(customer).default_source_data["last4"] == "4444"


def test_a_card_is_replaced_over_http_at_once(person, fake):
    post(person, "tok_visa")
    customer = every(StripeCustomer).get()

    response = patch(person, customer, "tok_mastercard")

    assert response.status_code == 200
    assert stored(customer).default_source_data["last4"] == "4444"


def test_cards_are_saved_with_authentication(person, fake):
    first = person.api.post(SETUP_INTENTS)
    confirm(fake, first.data["id"])
    created = post(person, first.data["id"])
    customer = every(StripeCustomer).get()
    catch_up()
    second = person.api.post(SETUP_INTENTS)
    confirm(fake, second.data["id"])
    changed = patch(person, customer, second.data["id"])

    statuses = [it.status_code for it in (first, created, second, changed)]
    assert statuses == [201, 201, 201, 200]
    assert first.data["stripe_customer_id"] is None
    assert second.data["stripe_customer_id"] == customer.stripe_customer_id
    assert len(stored(customer).sources) == 2


def test_a_setup_intent_of_another_payer_is_refused(person, fake):
    intent = new_person().api.post(SETUP_INTENTS).data["id"]
    confirm(fake, intent)

    assert post(person, intent).status_code == 400
    assert not every(StripeCustomer).exists()


def test_a_refused_card_leaves_nothing(person, fake):
    assert post(person, "tok_chargeDeclined").status_code == 400
    assert not every(StripeCustomer).exists()


def test_an_object_of_another_person_is_not_found(person, customer, fake):
    charge = new_charge(person)
    stranger = new_person()
    catch_up()

    assert person.api.get(charge_url(charge)).status_code == 200
    assert stranger.api.get(charge_url(charge)).status_code == 404
    assert stranger.api.get(of(customer)).status_code == 404
    assert patch(stranger, customer, "tok_mastercard").status_code == 404
    assert stored(customer).default_source == customer.default_source


def test_details_are_pushed(person, customer, fake):
    customer.change_description("Müller")
    stripe.Customer.modify(customer.stripe_customer_id, email="other@example.com")

    customer.push_details()

    at_stripe = fake.account.get("customer", customer.stripe_customer_id)
    assert at_stripe["description"] == "Müller"
    assert stored(customer).stripe_response["description"] == "Müller"


# Charges


def test_a_charge_is_collected(person, customer, fake, sent):
    charge = new_charge(person, description="Ünï %s / _", statement_descriptor="Shop")

    charge.charge()

    row = stored(charge)
    assert (row.is_charged, row.customer_id) == (True, customer.pk)
    assert sent == [("succeeded", row.pk)]
    catch_up()
    assert person.api.get(charge_url(charge)).data["state"] == "charged"


def test_a_charge_has_a_source_with_a_key_of_any_type(person, customer, fake):
    charge = new_charge(person, source=person.payer)
    charge.charge()
    catch_up()

    assert StripeCharge.objects.get(pk=charge.pk).source == person.payer
    assert paid(fake)[0]["metadata"]["object_id"] == str(person.payer.pk)


def test_charge_stripe_collects_what_is_pending(person, customer, fake, run):
    other = new_person()
    new_customer(other)
    for each in (person, other):
        new_charge(each)
    with transaction.atomic():
        StripeCharge(user=person.payer, amount=500).charge_later()
    new_charge(new_person())  # without a customer

    ran = run("charge_stripe")

    assert ran.status == 0
    assert "collected: 3 (25.00 USD)" in ran.stdout
    assert "skipped (no active customer): 1" in ran.stdout
    assert sorted(it["amount"] for it in paid(fake)) == [500, 1000, 1000]


def test_a_declined_charge_is_paid_with_another_card(person, fake, sent):
    customer = new_customer(person, "tok_chargeCustomerFail")
    charge = new_charge(person)

    charge_pending()

    row = stored(charge)
    assert (row.is_charged, row.charge_attempt_failed) == (False, True)
    assert (row.failure_code, sent) == ("card_declined", [("card_exception", row.pk)])
    catch_up()
    assert person.api.get(charge_url(charge)).data["state"] == "failed"
    customer.add_new_source("tok_visa")
    charge.charge()
    assert stored(charge).is_charged
    assert len(intents(fake)) == 1


def test_a_charge_is_authenticated(person, fake):
    new_customer(person, "pm_card_authenticationRequired")
    charge = new_charge(person)
    charge.charge()
    catch_up()
    shown = person.api.get(charge_url(charge)).data

    assert (shown["state"], bool(shown["client_secret"])) == ("requires_action", True)
    authenticate(fake, stored(charge))
    assert all_delivered(fake)
    assert stored(charge).is_charged


def test_a_lost_response_is_settled(person, customer, fake, run):
    charge = new_charge(person)
    fake.fail_next(CONFIRM, Fault.ANSWER_LOST)

    assert run("charge_stripe").status == 1
    every(StripeCharge).update(retry_at=None)
    assert run("charge_stripe").status == 0

    assert stored(charge).is_charged
    assert len(paid(fake)) == 1


def test_a_part_and_then_the_rest_is_refunded(person, customer, fake, sent):
    charge = new_charge(person)
    charge.charge()

    charge.refund(400)
    charge.refund()

    row = stored(charge)
    assert (row.amount_refunded, row.is_refunded) == (1000, True)
    assert amounts_refunded(fake, row) == [400, 600]
    assert sorted(every(StripeRefund).values_list("amount", flat=True)) == [400, 600]
    assert [name for name, _ in sent] == ["succeeded", "refunded", "refunded"]


# Plans and subscriptions


def test_a_plan_is_created(transactional_db, fake):
    plan = new_plan()

    assert stored(plan).is_created_at_stripe
    assert fake.account.get("plan", stored(plan).stripe_plan_id)["amount"] == 5000


def test_a_subscription_begins_and_ends_with_its_period(person, customer, fake):
    coupon = StripeCoupon.objects.create(**SALE)
    subscription = new_subscription(person, coupon=coupon, tax_percent="19.25")

    row = stored(subscription)
    assert (row.status, row.customer_id, row.has_access) == ("active", customer.pk, True)
    subscription.cancel(at_period_end=True)
    assert stored(subscription).is_ending
    subscription.cancel()
    row = stored(subscription)
    [at_stripe] = fake.account.all("subscription")
    assert (row.status, row.canceled_at) == ("canceled", to_datetime(at_stripe["canceled_at"]))


def test_end_subscriptions_cancels_those_that_are_due(person, customer, fake, run):
    today = local_date(fake.now)
    due = new_subscription(person, end_date=today)
    later = new_subscription(person, end_date=today + timedelta(days=7))

    ran = run("end_subscriptions")

    assert (ran.status, ran.stdout) == (0, "set to end with the period: 1\n")
    assert (stored(due).at_period_end, stored(later).at_period_end) == (True, False)


def test_due_subscriptions_are_canceled_in_code(person, customer, fake):
    due = new_subscription(person, end_date=local_date(fake.now))
    catch_up()

    StripeSubscription.end_subscriptions()

    assert stored(due).status == "canceled"


# Coupons


def test_a_coupon_is_created_edited_and_deleted(person, fake):
    coupon = StripeCoupon.objects.create(**SALE, redeem_by=to_datetime(fake.now + 10**6))
    catch_up()
    url = "/aa-stripe/coupons/SALE%2010/%C3%BC"
    shown = person.api.get(url)
    coupon = StripeCoupon.objects.get(coupon_id=SALE["coupon_id"])
    coupon.metadata = {"key": "ü"}
    coupon.save()

    assert (shown.status_code, shown.data["percent_off"]) == (200, 10)
    assert fake.account.get("coupon", SALE["coupon_id"])["metadata"] == {"key": "ü"}
    assert stored(coupon).created == to_datetime(fake.account.all("coupon")[0]["created"])
    coupon.delete()
    catch_up()
    assert (person.api.get(url).status_code, fake.account.all("coupon")) == (404, [])
    assert stored(coupon).is_deleted


def test_a_coupon_is_edited_and_deleted_before_it_can_be_read_elsewhere(person, fake):
    coupon, is_new = StripeCoupon.objects.get_or_create(**SALE)
    again, is_again = StripeCoupon.objects.get_or_create(**SALE)

    again.metadata = {"key": "value"}
    again.save()
    again.delete()

    assert (is_new, is_again, again.pk) == (True, False, coupon.pk)
    assert stored(coupon).is_deleted
    assert fake.account.all("coupon") == []


def test_a_coupon_is_created_edited_and_deleted_in_the_admin(transactional_db, fake):
    client = staff()
    fields = {"coupon_id": "A", "duration": "once", "percent_off": "5", "metadata": "{}"}

    client.post(f"{list_url('stripecoupon')}add/", fields)
    row = every(StripeCoupon).get()
    catch_up()
    client.post(row_url("stripecoupon", row.pk), {**fields, "metadata": '{"key": "value"}'})
    assert fake.account.get("coupon", "A")["metadata"] == {"key": "value"}
    catch_up()
    client.post(row_url("stripecoupon", row.pk, "delete"), {"post": "yes"})

    assert fake.account.all("coupon") == []
    assert stored(row).is_deleted


# Events, delivered over HTTP


def test_events_of_a_customer_are_applied(customer, fake):
    stripe.PaymentMethod.attach("pm_card_mastercard", customer=customer.stripe_customer_id)
    newest = fake.account.all("payment_method")[-1]["id"]
    settings = {"default_payment_method": newest}
    stripe.Customer.modify(customer.stripe_customer_id, invoice_settings=settings)

    assert all_delivered(fake, "customer.updated", "payment_method.attached")

    row = stored(customer)
    assert (row.default_source, len(row.sources)) == (newest, 2)
    fake.dashboard_delete_customer(customer.stripe_customer_id)
    assert all_delivered(fake, "customer.deleted")
    assert not stored(customer).is_active


def test_a_refund_of_the_dashboard_is_counted_once(person, customer, fake, sent):
    charge = new_charge(person)
    charge.charge()
    sent.clear()
    fake.dashboard_refund(stored(charge).stripe_charge_id, 300)

    assert all_delivered(fake)
    assert set(deliver(fake, *events_of(fake))) == {REDELIVERED}

    assert stored(charge).amount_refunded == 300
    assert sent == [("refunded", charge.pk)]


def test_events_of_a_subscription_are_applied(person, customer, fake):
    subscription = new_subscription(person)
    stripe_id = subscription.stripe_subscription_id
    fake.dashboard_cancel_subscription(stripe_id, at_period_end=True)
    assert all_delivered(fake, "customer.subscription.created", "customer.subscription.updated")

    assert stored(subscription).is_ending
    fake.dashboard_cancel_subscription(stripe_id)
    assert all_delivered(fake, "customer.subscription.deleted", "invoice.paid")
    assert stored(subscription).status == "canceled"


def test_events_of_coupons_are_applied(transactional_db, fake):
    created = fake.dashboard_create_coupon(id="A", duration="once", percent_off=5)
    fake.dashboard_edit_coupon("A", metadata={"key": "value"})
    assert all_delivered(fake, "coupon.created", "coupon.updated")

    row = every(StripeCoupon).get()
    assert (row.metadata, row.created) == ({"key": "value"}, to_datetime(created["created"]))
    fake.dashboard_delete_coupon("A")
    assert all_delivered(fake, "coupon.deleted")
    assert stored(row).is_deleted


def test_a_coupon_of_our_own_is_not_stored_twice_by_its_event(transactional_db, fake):
    StripeCoupon.objects.create(**SALE)

    statuses = deliver(fake, *events_of(fake, "coupon.created"))

    assert statuses == [NEW]
    assert every(StripeCoupon).count() == 1


def test_process_webhooks_applies_what_was_deferred(customer, fake, run, settings):
    settings.STRIPE_WEBHOOK_PROCESSOR = "deferred"
    fake.dashboard_delete_customer(customer.stripe_customer_id)
    deliver(fake, *events_of(fake))

    assert stored(customer).is_active
    ran = run("process_webhooks")

    assert (ran.status, errors(fake)) == (0, {})
    assert not stored(customer).is_active
    assert not every(StripeWebhook).filter(is_parsed=False).exists()
    assert run("process_webhooks").stdout == ""


def test_an_event_that_fails_is_delivered_again(transactional_db, fake, on):
    failures = [RuntimeError("not now")]

    @on(TYPE)
    def fail_once(webhook):
        if failures:
            raise failures.pop()

    event = fake.account.find("event", add_event(fake))

    assert deliver(fake, event) == [500]
    assert deliver(fake, event) == [REDELIVERED]
    assert every(StripeWebhook).get().is_parsed


def test_check_pending_webhooks_recovers_what_is_missing(transactional_db, fake, run):
    missing = [add_event(fake) for _ in range(3)]
    deliver(fake, fake.account.find("event", missing[0]))

    ran = run("check_pending_webhooks", "--recover")

    assert (ran.status, "stored: 1" in ran.stdout, "missing: 2" in ran.stdout) == (0, True, True)
    assert sorted(every(StripeWebhook).values_list("pk", flat=True)) == sorted(missing)
    assert "stored: 3" in run("check_pending_webhooks").stdout


# Refreshing


def test_refresh_customers_updates_what_has_changed(person, customer, fake, run):
    assert run("refresh_customers").stdout == "unchanged: 1\n"
    stripe.PaymentMethod.attach("pm_card_mastercard", customer=customer.stripe_customer_id)
    assert "updated: 1" in run("refresh_customers").stdout
    assert len(stored(customer).sources) == 2
    fake.dashboard_delete_customer(customer.stripe_customer_id)

    ran = run("refresh_customers", "--all")

    assert (ran.status, ran.stdout) == (0, "deactivated (deleted at Stripe): 1\n")
    assert not stored(customer).is_active


def test_refresh_coupons_stores_updates_and_marks(transactional_db, fake, run):
    StripeCoupon.objects.create(**SALE)
    fake.dashboard_create_coupon(id="B", duration="once", percent_off=5)
    assert set(run("refresh_coupons").stdout.splitlines()) == {"created: 1", "unchanged: 1"}
    fake.dashboard_edit_coupon("B", metadata={"key": "value"})
    fake.dashboard_delete_coupon(SALE["coupon_id"])

    ran = run("refresh_coupons")

    assert (ran.status, ran.stdout) == (0, "updated: 1\nmarked as deleted (gone at Stripe): 1\n")
    rows = every(StripeCoupon).order_by("coupon_id")
    assert [(it.coupon_id, it.is_deleted) for it in rows] == [("B", False), ("SALE 10/ü", True)]


def test_refresh_subscriptions_updates_what_has_changed(person, customer, fake, run):
    subscription = new_subscription(person)
    assert run("refresh_subscriptions").stdout == "unchanged: 1\n"
    fake.dashboard_cancel_subscription(subscription.stripe_subscription_id)

    ran = run("refresh_subscriptions")

    assert (ran.status, ran.stdout) == (0, "updated: 1\n")
    assert stored(subscription).status == "canceled"


# The admin


def test_each_page_of_the_admin_is_shown(person, customer, fake, run):
    charge = new_charge(person)
    charge.charge()
    charge.refund(400)
    subscription = new_subscription(person)
    coupon = StripeCoupon.objects.create(**SALE)
    deliver(fake, *events_of(fake)[:1])
    run("refresh_customers")
    client = staff()
    rows = [customer, charge, subscription, subscription.plan, coupon]
    rows += [every(StripeRefund).get(), every(StripeWebhook).get()]

    for row in rows:
        model = row._meta.model_name
        found = client.get(list_url(model), {"q": str(row.pk)})
        pages = [client.get(list_url(model)), client.get(row_url(model, row.pk)), found]
        assert [it.status_code for it in pages] == [200, 200, 200], model
    assert client.get(list_url("stripejobrun")).status_code == 200


# The end


def test_a_user_with_a_subscription_is_not_deleted_before_it_is_closed(person, customer, fake):
    charge = new_charge(person)
    charge.charge()
    subscription = new_subscription(person)
    key = person.payer.pk
    with pytest.raises(ProtectedError), transaction.atomic():
        person.payer.delete()

    StripeCustomer.close(person.payer)
    StripeCustomer.close(person.payer)
    person.payer.delete()

    rows = [stored(it) for it in (customer, charge, subscription)]
    assert [(it.user_id, it.user_key) for it in rows] == [(None, str(key))] * 3
    assert (rows[0].is_active, rows[0].sources, rows[2].status) == (False, [], "canceled")
    assert all(it.get("deleted") for it in fake.account.all("customer"))
    stored(charge).refund(300)
    assert stored(charge).amount_refunded == 300


def test_an_account_is_closed_with_a_refund(person, customer, fake):
    subscription = new_subscription(person)
    pending = new_charge(person)

    StripeCustomer.close(person.payer, refund=True)

    assert stored(subscription).status == "canceled"
    assert [it["amount"] for it in fake.account.all("refund")] == [5000]
    charge_pending()
    assert not stored(pending).is_charged


def test_a_customer_is_closed_over_their_events(person, customer, fake):
    new_subscription(person)
    StripeCustomer.close(person.payer)

    assert all_delivered(fake)
    assert not stored(customer).is_active


# The project


def test_no_migration_is_missing(transactional_db):
    call_command("makemigrations", "aa_stripe", "accounts", check=True, dry_run=True, verbosity=0)
    call_command("check", fail_level="WARNING", verbosity=0)
    assert connection.vendor in {"sqlite", "postgresql", "mysql"}
