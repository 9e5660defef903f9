"""The examples of docs/webhooks.rst work, and what the page says is true."""

from __future__ import annotations

import ast
import inspect
import json
import re
import time
from datetime import timedelta
from unittest.mock import patch

import django
import pytest
import stripe
from django.contrib.auth import get_user_model
from django.core.management import call_command, get_commands, load_command_class
from django.db import DatabaseError, transaction
from django.utils import timezone
from django.utils.module_loading import import_string
from stripe.params import WebhookEndpointCreateParams

from aa_stripe import checks, stripe_webhooks
from aa_stripe.exceptions import StripeWebhookAlreadyParsed, StripeWebhookParseError
from aa_stripe.jobs import events as events_job
from aa_stripe.models import (
    StripeCharge,
    StripeCoupon,
    StripeRefund,
    StripeSubscription,
    StripeWebhook,
    webhook_pre_parse,
)
from aa_stripe.models.webhook.claim import delay_after
from aa_stripe.settings import DEFAULTS
from aa_stripe.testing import Fault, event, signed
from aa_stripe.webhooks import is_of, on, registry
from tests.docs.blocks import ROOT, blocks_of, run, table_below, the_block
from tests.support.builders import make_charge, make_customer, make_user

PAGE = "webhooks.rst"
PATH = ROOT / "docs" / PAGE
TEXT = " ".join(PATH.read_text("utf-8").split())

User = get_user_model()

URL = "/aa-stripe/webhooks"
SECRET = "whsec_test"

#: The object of an event that no built-in handler processes.
PAYOUT = {"id": "po_1", "object": "payout"}


@pytest.fixture
def deliver(fake, client):
    """A function that delivers these events, or all new ones, and returns the statuses."""

    def deliver(*chosen, **options):
        return fake.deliver(URL, SECRET, events=chosen or None, client=client, **options)

    return deliver


def post(client, body, **options):
    headers = options.pop("headers", None) or signed(body, options.pop("secret", SECRET), **options)
    return client.post(URL, body, content_type="application/json", headers=headers).status_code


def body_of(payload):
    return json.dumps(payload)


def invoice_of(customer):
    return {"id": "in_1", "object": "invoice", "customer": customer.stripe_customer_id}


def literal(text):
    """Return the one block that is not Python and contains ``text``."""
    [found] = [it for it in blocks_of(PATH) if it.language != "python" and text in it.code]
    return found.code


def listed_types():
    return ast.literal_eval(literal("STRIPE_WEBHOOK_EVENT_TYPES = [").split(" = ")[1])


def patterns_of_ours():
    return {it for it, handler in registry._registered if is_ours(handler)}


def is_ours(handler):
    return handler.__module__.startswith(f"{stripe_webhooks.__name__}.")


def types_of_stripe():
    source = inspect.getsource(WebhookEndpointCreateParams)
    return set(re.findall(r'"([a-z0-9_]+(?:\.[a-z0-9_]+)+)"', source))


# Setup


def test_the_list_has_each_type_that_a_built_in_handler_processes():
    ours = patterns_of_ours()

    wanted = {type for type in types_of_stripe() if any(is_of(type, it) for it in ours)}

    assert listed_types() == sorted(wanted)


def test_the_checks_accept_the_list_as_a_setting(settings):
    settings.STRIPE_WEBHOOK_EVENT_TYPES = listed_types()

    assert list(checks.webhook_event_types_are_valid()) == []


def test_the_version_is_the_default_and_the_parameters_are_stripes():
    code = literal("stripe.WebhookEndpoint.create")
    [version] = re.findall(r'api_version="(.*)"', code)

    assert version == DEFAULTS["API_VERSION"]
    assert set(re.findall(r"^    (\w+)=", code, re.MULTILINE)) <= set(
        WebhookEndpointCreateParams.__annotations__
    )


def test_both_secrets_are_accepted_while_one_is_rolled(db, client, settings):
    settings.STRIPE_WEBHOOK_ENDPOINT_SECRET = ["whsec_new", "whsec_old"]
    body = body_of(event("payout.paid", PAYOUT))

    assert post(client, body, secret="whsec_new") == 201
    assert post(client, body, secret="whsec_old") == 200
    assert post(client, body, secret="whsec_other") == 400


# Responses


def test_each_status_of_the_table_is_returned_in_the_cases_that_it_lists(db, client, settings):
    def fail(webhook):
        redelivered.append(post(client, failing))
        raise RuntimeError("Not today.")

    redelivered = []
    body = body_of(event("payout.paid", PAYOUT))
    on("payout.failed")(fail)
    failing = body_of(event("payout.failed", PAYOUT))
    thin = body_of({"id": "evt_1", "object": "v2.core.event", "type": "v1.billing.meter"})
    nested = body_of(event("payout.paid", json.loads('{"a":' * 40 + "1" + "}" * 40)))
    six_minutes_ago = int(time.time()) - 6 * 60
    statuses = {
        201: [post(client, body)],
        200: [post(client, body)],
        400: [
            post(client, body, headers={"Stripe-Signature": ""}),
            post(client, body, secret="whsec_other"),
            post(client, body, timestamp=six_minutes_ago),
            post(client, "not JSON"),
            post(client, thin),
            post(client, nested),
        ],
        405: [client.get(URL).status_code, client.options(URL).status_code],
        500: [post(client, failing)],
    }
    statuses[409] = redelivered
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10
    statuses[413] = [post(client, body)]
    settings.STRIPE_WEBHOOK_ENDPOINT_SECRET = ""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = None
    statuses[503] = [post(client, body)]

    assert {status for status, returned in statuses.items() if set(returned) == {status}} == {
        int(status) for status, _ in table_below(PATH, "Responses")
    }
    assert StripeWebhook.objects.count() == 2


def test_the_status_is_500_when_the_event_cannot_be_stored(db, client):
    with patch.object(StripeWebhook, "insert", autospec=True, side_effect=DatabaseError):
        assert post(client, body_of(event("payout.paid", PAYOUT))) == 500


def test_a_redelivery_applies_an_event_that_was_not_applied(deliver):
    @on("payout.paid")
    def fail_at_first(webhook):
        if webhook.attempts == 1:
            raise RuntimeError

    payload = event("payout.paid", PAYOUT)

    assert deliver(payload, payload, payload) == [500, 200, 200]
    assert StripeWebhook.objects.get().is_parsed


def test_the_url_may_end_with_a_slash(fake, client):
    assert fake.deliver(f"{URL}/", SECRET, events=[event("ping", {})], client=client) == [201]


# Built-in handlers


def test_the_table_has_each_type_that_a_built_in_handler_processes():
    shown = set()
    for types, _ in table_below(PATH, "Built-in handlers"):
        model = ""
        for name in types.replace("\n", " ").split(", "):
            model = model if name.startswith(".") else name.rpartition(".")[0]
            shown.add(model + name if name.startswith(".") else name)

    assert shown == patterns_of_ours()


def test_a_payment_that_was_completed_in_a_browser_is_settled(fake, deliver):
    charge = make_charge(make_customer(card="tok_authenticationRequired"))
    charge.charge()
    deliver()
    intent = charge.stripe_payment_intent_id
    stripe.PaymentIntent.confirm(intent, payment_method=charge.customer.default_source)
    fake.complete_authentication(intent)

    deliver()

    charge.refresh_from_db()
    assert charge.is_charged


def test_a_payment_canceled_in_the_dashboard_is_recorded(fake, user, deliver):
    charge = make_charge(user.stripe_customers.get())
    fake.fail_next("POST /v1/payment_intents/*/confirm", Fault.REQUEST_LOST, times=None)
    call_failing_command("charge_stripe")
    charge.refresh_from_db()
    fake.dashboard_cancel(charge.stripe_payment_intent_id)

    deliver()

    charge.refresh_from_db()
    assert charge.failure_code == "canceled"


def call_failing_command(*arguments):
    with pytest.raises(SystemExit):
        call_command(*arguments, verbosity=0)


def test_a_refund_whose_response_was_lost_is_settled(fake, charge, deliver):
    fake.fail_next("POST /v1/refunds", Fault.ANSWER_LOST)
    with pytest.raises(Exception, match="Temporary Stripe API error"):
        charge.refund(300)

    deliver()

    charge.refresh_from_db()
    assert charge.amount_refunded == 300
    assert charge.refunds.get().status == StripeRefund.STATUS_SUCCEEDED


def test_a_subscription_whose_response_was_lost_gets_its_id(fake, user, plan, deliver):
    subscription = StripeSubscription.objects.create(user=user, plan=plan)
    fake.fail_next("POST /v1/subscriptions", Fault.ANSWER_LOST)
    with pytest.raises(stripe.APIConnectionError):
        subscription.create_at_stripe()

    deliver()

    subscription.refresh_from_db()
    [known] = fake.account.all("subscription")
    assert (subscription.stripe_subscription_id, subscription.status) == (known["id"], "active")


def test_a_dispute_logs_a_warning_and_changes_no_charge(charge, deliver, caplog):
    before = StripeCharge.objects.values().get()
    dispute = {"id": "dp_1", "object": "dispute", "charge": charge.stripe_charge_id}

    deliver(event("charge.dispute.created", dispute))

    [record] = [it for it in caplog.records if "dp_1" in it.getMessage()]
    assert record.levelname == "WARNING"
    assert StripeCharge.objects.values().get() == before


def test_a_customer_is_updated_for_a_new_card_and_for_its_deletion(fake, customer, deliver):
    stripe.PaymentMethod.attach("pm_card_mastercard", customer=customer.stripe_customer_id)
    deliver()
    customer.refresh_from_db()
    assert {it["card"]["brand"] for it in customer.sources} == {"visa", "mastercard"}

    fake.dashboard_delete_customer(customer.stripe_customer_id)
    deliver()
    customer.refresh_from_db()
    assert not customer.is_active


def test_events_of_coupons_can_be_delivered_in_any_order(fake, deliver):
    fake.dashboard_create_coupon(id="SUMMER", percent_off=25, duration="once")
    fake.dashboard_edit_coupon("SUMMER", name="Summer sale")
    fake.dashboard_create_coupon(id="OLD", percent_off=5, duration="once")
    fake.dashboard_delete_coupon("OLD")

    deliver(*reversed(fake.events))

    assert [(it.coupon_id, it.name) for it in StripeCoupon.objects.all()] == [
        ("SUMMER", "Summer sale")
    ]
    [gone] = StripeWebhook.objects.failed()
    assert (gone.is_parsed, gone.stripe_object["id"]) == (True, "OLD")


def test_an_event_of_an_object_without_a_row_is_skipped(fake, deliver):
    stripe.Customer.create(description="A customer without a row", payment_method="pm_card_visa")

    assert set(deliver()) == {201}
    assert not StripeWebhook.objects.unapplied().exists()
    assert not StripeWebhook.objects.failed().exists()


@pytest.fixture
def uuid_without_row(customer):
    """The ``uuid`` of a paid charge whose row was deleted."""
    charge = make_charge(customer)
    charge.charge()
    StripeCharge.objects.all().delete()
    return charge.uuid


def test_a_payment_without_a_row_is_reported_and_settled_once_it_has_a_row(
    uuid_without_row, customer, deliver, caplog
):
    assert set(deliver()) == {201}
    [reported] = StripeWebhook.objects.failed()
    assert str(uuid_without_row) in reported.parse_error
    assert "ERROR" in {
        it.levelname for it in caplog.records if str(uuid_without_row) in it.getMessage()
    }
    assert reported.stripe_object["id"] in reported.parse_error
    StripeCharge.objects.create(uuid=uuid_without_row, user=customer.user, amount=1000)

    call_command("process_webhooks", "--id", reported.pk, verbosity=0)

    assert StripeCharge.objects.get().is_charged
    assert not StripeWebhook.objects.failed().exists()


def test_a_site_does_not_report_the_payments_of_another(customer, deliver, settings):
    settings.PAYMENT_ORIGIN = "shop"
    make_charge(customer).charge()
    StripeCharge.objects.all().delete()
    settings.PAYMENT_ORIGIN = "school"

    deliver()

    assert not StripeWebhook.objects.failed().exists()


# Custom handlers


def test_a_handler_is_called_once_for_an_event(customer, write_to, deliver, request):
    run(the_block(PAGE, "def ask_to_pay"), request, write_to=write_to)
    payload = event("invoice.payment_failed", invoice_of(customer))

    assert deliver(payload, payload) == [201, 200]
    write_to.assert_called_once_with(customer.user, "We could not collect.")


def test_a_handler_gets_the_listed_attributes(db, deliver):
    received = []

    @on("payout.*", "payout.paid")
    def handle(webhook):
        received.append((webhook.event_type, webhook.stripe_object, webhook.raw_data))

    payload = event("payout.paid", PAYOUT, previous_attributes={"status": "pending"})
    deliver(payload)

    [(event_type, stripe_object, raw_data)] = received
    assert (event_type, stripe_object) == ("payout.paid", PAYOUT)
    assert raw_data == payload
    assert raw_data["data"].get("previous_attributes") == {"status": "pending"}


def test_a_wildcard_matches_each_type_with_the_same_beginning():
    @on("charge.*")
    def of_charges(webhook): ...

    @on("*")
    def of_all(webhook): ...

    assert registry.handlers_of("charge.dispute.created")[-2:] == [of_charges, of_all]
    assert registry.handlers_of("chargeback.created") == [of_all]


def test_the_built_in_handlers_run_before_a_later_apps_handler(
    subscription, fake, grant, deliver, request
):
    deliver()
    run(the_block(PAGE, "def give_or_take_access"), request, grant=grant)
    fake.dashboard_cancel_subscription(subscription.stripe_subscription_id)

    deliver()

    grant.assert_called_with(subscription.user, False)


def test_the_handler_copies_the_current_email_and_not_the_events(customer, deliver, request):
    run(the_block(PAGE, "def copy_email"), request)
    for email in ("old@example.com", "new@example.com"):
        stripe.Customer.modify(customer.stripe_customer_id, email=email)
    known = {"id": customer.stripe_customer_id, "object": "customer"}
    late = event("customer.updated", {**known, "email": "old@example.com"})

    deliver(late)

    customer.user.refresh_from_db()
    assert customer.user.email == "new@example.com"


def test_an_event_of_a_deleted_customer_does_not_change_the_email(customer, fake, deliver, request):
    run(the_block(PAGE, "def copy_email"), request)
    stripe.Customer.modify(customer.stripe_customer_id, email="ada@example.com")
    deliver()
    late = fake.events[-1] | {"id": "evt_late"}
    fake.dashboard_delete_customer(customer.stripe_customer_id)

    assert deliver(late) == [201]
    customer.user.refresh_from_db()
    assert customer.user.email == "ada@example.com"


def test_a_handler_can_reject_an_event_with_a_message(charge, deliver, request):
    names = run(the_block(PAGE, "def note_dispute"), request)
    dispute = {"id": "dp_1", "object": "dispute", "charge": charge.stripe_charge_id}

    known = deliver(event("charge.dispute.created", dispute))
    unknown = deliver(event("charge.dispute.created", {**dispute, "charge": "ch_other"}))

    charge.refresh_from_db()
    assert names["note_dispute"]
    assert (charge.comment, known, unknown) == ("Disputed", [201], [201])
    [failed] = StripeWebhook.objects.failed()
    assert failed.is_parsed
    assert failed.parse_error == "ch_other is no charge of this site."


def test_the_writes_of_a_rejecting_handler_are_rolled_back_and_the_others_are_kept(db, deliver):
    sent = []

    @on("payout.paid")
    def reject(webhook):
        make_user(email="rolled back")
        webhook.after_commit(lambda: sent.append("rolled back"))
        raise StripeWebhookParseError("No.")

    @on("payout.paid")
    def accept(webhook):
        make_user(email="kept")
        webhook.after_commit(lambda: sent.append("kept"))

    deliver(event("payout.paid", PAYOUT))

    assert emails() == ["kept"]
    assert sent == ["kept"]


def emails():
    return list(User.objects.exclude(email="").values_list("email", flat=True))


def test_any_other_exception_rolls_back_all_handlers(db, deliver):
    sent = []

    @on("payout.paid")
    def write(webhook):
        make_user(email="rolled back")
        webhook.after_commit(lambda: sent.append("rolled back"))

    @on("payout.paid")
    def fail(webhook):
        raise RuntimeError("Not today.")

    assert deliver(event("payout.paid", PAYOUT)) == [500]
    row = StripeWebhook.objects.get()
    assert (row.is_parsed, row.parse_error) == (False, "RuntimeError: Not today.")
    assert emails() == sent == []


def test_a_database_error_must_be_caught_outside_of_a_nested_transaction(db, deliver):
    taken = make_user().username

    @on("payout.paid")
    def catch_inside(webhook):
        with pytest.raises(DatabaseError):
            User.objects.create(username=taken)

    @on("payout.failed")
    def catch_outside(webhook):
        with pytest.raises(DatabaseError), transaction.atomic():
            User.objects.create(username=taken)

    assert deliver(event("payout.paid", PAYOUT), event("payout.failed", PAYOUT)) == [500, 201]


def test_an_error_after_the_commit_is_logged_and_the_status_is_201(db, deliver, caplog):
    @on("payout.paid")
    def fail_later(webhook):
        webhook.after_commit(lambda: 1 / 0)

    assert deliver(event("payout.paid", PAYOUT)) == [201]
    assert any(it.exc_info and it.exc_info[0] is ZeroDivisionError for it in caplog.records)


# The webhook_pre_parse signal


def test_the_receiver_of_0_14_gets_the_action_and_the_object(customer, book, deliver, request):
    names = run(the_block(PAGE, "webhook_pre_parse.connect"), request, book=book)
    invoice = invoice_of(customer)

    deliver(event("invoice.payment_failed", invoice), event("ping", {}))

    assert names["stripewebhook_pre_parse"]
    book.assert_called_once_with("payment_failed", invoice)


def test_the_signal_has_the_arguments_that_are_listed(db, deliver):
    received = []

    def receive(signal, **arguments):
        received.append(arguments)

    webhook_pre_parse.connect(receive)
    deliver(event("charge.dispute.created", {"id": "dp_1"}), event("ping", {}))

    dispute, ping = received
    assert [it for it in dispute if f"``{it}``" not in TEXT] == []
    assert dispute["sender"] is StripeWebhook
    assert (dispute["event_model"], dispute["event_action"]) == ("charge.dispute", "created")
    assert (ping["event_model"], ping["event_action"]) == (None, None)


def test_creating_a_row_applies_it_once(db):
    payload = event("ping", {})

    webhook = StripeWebhook.objects.create(id=payload["id"], raw_data=payload)

    assert webhook.is_parsed
    with pytest.raises(StripeWebhookAlreadyParsed):
        webhook.parse()


# Failed events


def test_a_retry_is_delayed_by_one_minute_to_six_hours():
    delays = [delay_after(attempts) - timezone.now() for attempts in (1, 2, 3, 30)]

    minutes = [round(delay.total_seconds() / 60) for delay in delays]
    assert minutes == [1, 2, 4, 6 * 60]


def test_a_failed_event_is_skipped_before_its_retry_time_unless_it_is_named(db, deliver):
    @on("payout.paid")
    def fail(webhook):
        raise RuntimeError

    deliver(event("payout.paid", PAYOUT))
    row = StripeWebhook.objects.get()

    call_command("process_webhooks", verbosity=0)
    call_failing_command("process_webhooks", "--failed")
    call_failing_command("process_webhooks", "--id", row.pk)

    row.refresh_from_db()
    assert row.attempts == 3


# Processors


def test_deferred_events_are_applied_by_the_command(fake, charge, deliver, settings):
    exec(literal('STRIPE_WEBHOOK_PROCESSOR = "deferred"').split("\n\n")[0], names := {})
    settings.STRIPE_WEBHOOK_PROCESSOR = names["STRIPE_WEBHOOK_PROCESSOR"]
    fake.dashboard_refund(charge.stripe_charge_id, 300)

    deliver()
    charge.refresh_from_db()
    assert charge.amount_refunded == 0
    call_command("process_webhooks", verbosity=0)

    charge.refresh_from_db()
    assert charge.amount_refunded == 300


def test_the_schedule_names_tasks_that_accept_these_arguments(charge, request):
    celery = pytest.importorskip("celery")
    names = run(the_block(PAGE, "CELERY_BEAT_SCHEDULE"), request)
    for module in names["CELERY_IMPORTS"]:
        __import__(module)

    app = celery.Celery(set_as_current=False)
    for entry in names["CELERY_BEAT_SCHEDULE"].values():
        assert isinstance(app.tasks[entry["task"]](*entry.get("args", ())), str)


def test_each_command_for_cron_is_a_task():
    celery = pytest.importorskip("celery")
    __import__("aa_stripe.contrib.celery")

    app = celery.Celery(set_as_current=False)
    quickstart = (ROOT / "docs" / "quickstart.rst").read_text("utf-8")
    for command in re.findall(r"manage\.py (\w+)", quickstart):
        if command not in ("migrate", "check", "shell"):
            assert f"aa_stripe.{command}" in app.tasks


@pytest.mark.skipif(django.VERSION < (6, 0), reason="Django has no Tasks")
def test_the_backend_of_djangos_tasks_can_be_imported():
    pytest.importorskip("django_tasks_db")
    [backend] = re.findall(r'"BACKEND": "(.*?)"', literal("TASKS = "))

    assert import_string(backend)


def test_a_custom_queue_gets_each_event(
    fake, charge, my_queue, deliver, settings, request, django_capture_on_commit_callbacks
):
    names = run(the_block(PAGE, "def enqueue"), request, my_queue=my_queue)
    settings.STRIPE_WEBHOOK_PROCESSOR = names["enqueue"]
    fake.dashboard_refund(charge.stripe_charge_id, 300)
    with django_capture_on_commit_callbacks(execute=True):
        deliver()
    assert StripeWebhook.objects.unapplied().count() == len(fake.events)

    names["work"]()

    charge.refresh_from_db()
    assert charge.amount_refunded == 300


def test_an_event_that_the_queue_lost_is_due_five_minutes_later(db, deliver, settings):
    settings.STRIPE_WEBHOOK_PROCESSOR = lambda webhook_id: None

    deliver(event("payout.paid", PAYOUT))

    waits = StripeWebhook.objects.get().retry_at - timezone.now()
    assert timedelta(minutes=4) < waits <= timedelta(minutes=5)


# Missing events


@pytest.fixture
def ten_minutes_later(fake, monkeypatch):
    fake.advance(600)
    later = time.time() + 600
    monkeypatch.setattr(events_job.time, "time", lambda: later)


def test_the_command_fetches_events_that_were_not_delivered(
    fake, charge, ten_minutes_later, deliver
):
    call_command("check_pending_webhooks", "--recover", verbosity=0)

    assert StripeWebhook.objects.filter(is_parsed=True).count() == len(fake.events)
    assert set(deliver()) == {200}


@pytest.mark.parametrize(
    ("types", "filters"),
    [(["charge.refunded"], True), (["charge.*"], False), (None, False), ("the list", False)],
)
def test_up_to_20_types_without_wildcards_are_requested_by_name(
    fake, charge, ten_minutes_later, settings, types, filters
):
    settings.STRIPE_WEBHOOK_EVENT_TYPES = listed_types() if types == "the list" else types

    call_command("check_pending_webhooks", verbosity=0)

    [listing] = [it for it in fake.requests if it.path == "/v1/events"]
    assert ("types" in listing.params) == filters


def test_each_option_exists_and_has_the_stated_default():
    for name in ("check_pending_webhooks", "process_webhooks"):
        command = load_command_class(get_commands()[name], name)
        parser = command.create_parser("manage.py", name)
        for line in re.findall(rf"{name} ((?:--[\w-]+)(?: --[\w-]+)*)", TEXT):
            assert set(line.split()) <= set(parser._option_string_actions), line

    assert f"The default is {events_job.WINDOW.days} days" in TEXT
    assert f"the maximum is {events_job.LONGEST_WINDOW.days} days" in TEXT
    assert f"The default is {events_job.GRACE.total_seconds():.0f} seconds" in TEXT
    assert (
        f"``STRIPE_PENDING_WEBHOOKS_THRESHOLD`` ({DEFAULTS['PENDING_WEBHOOKS_THRESHOLD']})" in TEXT
    )


# Storage and monitoring


def test_secrets_are_removed_and_unstorable_characters_are_escaped(db, deliver):
    payload = event("ping", {"client_secret": "pi_1_secret_2", "text": "a\0b", "number": 1})

    deliver(payload)

    assert StripeWebhook.objects.get().stripe_object == {"text": "a\\u0000b", "number": 1}


def test_an_event_of_the_other_mode_is_stored_and_not_applied(db, deliver):
    assert deliver(event("payout.paid", PAYOUT, livemode=True)) == [201]

    row = StripeWebhook.objects.get()
    assert (row.is_wrong_mode, row.is_parsed) == (True, False)
    assert not StripeWebhook.objects.unapplied().exists()


def test_only_old_events_that_were_applied_without_an_error_are_pruned(db, deliver):
    deliver(event("payout.paid", PAYOUT), event("payout.failed", PAYOUT), event("ping", {}))
    new, failed, old = StripeWebhook.objects.order_by("created")
    long_ago = timezone.now() - timedelta(days=61)
    StripeWebhook.objects.exclude(pk=new.pk).update(created=long_ago)
    StripeWebhook.objects.filter(pk=failed.pk).update(parse_error="No.")
    command = literal("--prune").split()

    call_command(*command[1:], verbosity=0)

    assert set(StripeWebhook.objects.all()) == {new, failed}
    assert old


def test_the_example_finds_stuck_events(db, deliver, request):
    @on("payout.paid")
    def fail(webhook):
        raise RuntimeError

    deliver(event("payout.paid", PAYOUT), event("ping", {}))
    two_hours_ago = timezone.now() - timedelta(hours=2)
    StripeWebhook.objects.update(created=two_hours_ago)

    names = run(the_block(PAGE, "stuck = "), request)

    assert [it.event_type for it in names["stuck"]] == ["payout.paid"]
    assert list(names["failed"]) == list(names["stuck"])
