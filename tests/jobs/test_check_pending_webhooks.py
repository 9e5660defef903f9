"""``check_pending_webhooks`` finds, reports and recovers events that were never delivered."""

from __future__ import annotations

import io
import json
import math
import re
from datetime import datetime, timedelta

import django
import pytest
from django.conf import settings as django_settings
from django.contrib.sites.models import Site
from django.core.mail.backends.locmem import EmailBackend
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from aa_stripe.exceptions import StripePendingWebhooksLimitExceeded, StripeWebhookParseError
from aa_stripe.jobs import Watcher, check_pending_webhooks, events
from aa_stripe.management.commands import check_pending_webhooks as command
from aa_stripe.models import StripeWebhook
from aa_stripe.settings import stripe_settings
from aa_stripe.testing import Fault
from tests.jobs.events import (
    LIST,
    RETRIEVE,
    TYPE,
    add_event,
    deliver,
    event_calls,
    store,
    unapplied,
)
from tests.support.requests import fail_second_page
from tests.support.statements import statements
from tests.support.terminal import Terminal

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
CHECK = "check_pending_webhooks"
ADMIN = "ops@example.com"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def admins(settings):
    """``ADMINS`` in the format of each Django version; mails are kept in memory."""
    settings.ADMINS = [ADMIN] if django.VERSION >= (6, 0) else [("Operations", ADMIN)]
    settings.MAILERS = {"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}


@pytest.fixture(autouse=True)
def site():
    """The default site of Django, with a domain of ours."""
    site, _ = Site.objects.update_or_create(
        pk=1, defaults={"domain": "shop.example.com", "name": "Shop"}
    )
    return site


@pytest.fixture
def threshold(settings):
    settings.STRIPE_PENDING_WEBHOOKS_THRESHOLD = 2
    return 2


@pytest.fixture
def too_many(fake, threshold):
    """The ids of more missing events than the threshold allows, oldest first."""
    return [add_event(fake, age=age * MINUTE) for age in (30, 20, 10)]


@pytest.fixture
def mail(run, mailoutbox):
    """``mail("--site", "7")`` runs the command, which fails, and returns the mail that it sends."""

    def mail(*words, **options):
        with pytest.raises(StripePendingWebhooksLimitExceeded):
            run(CHECK, *words, **options)
        [sent] = mailoutbox
        return sent

    return mail


def still_missing(ran):
    """Return the ids of the events that the command prints as missing."""
    return re.findall(r"^Still missing: (\w+)$", ran.stdout, re.MULTILINE)


def stored_ids():
    return set(StripeWebhook.objects.values_list("pk", flat=True))


# Missing events


def test_nothing_is_printed_when_there_are_no_events(fake, run):
    ran = run(CHECK)

    assert (ran.status, ran.stdout, ran.stderr) == (0, "", "")


def test_a_delivered_event_is_not_missing(fake, run, mailoutbox):
    deliver(fake, add_event(fake))

    ran = run(CHECK)

    assert (ran.status, ran.stdout) == (0, "stored: 1\n")
    assert mailoutbox == []


def test_a_stored_event_that_is_not_applied_is_not_missing(fake, run):
    id = add_event(fake)
    store(id=id)

    ran = run(CHECK)

    assert ran.stdout == "stored: 1\n"


def test_missing_events_are_listed_oldest_first(fake, threshold, run, mailoutbox):
    first = add_event(fake, age=30 * MINUTE)
    deliver(fake, add_event(fake, age=20 * MINUTE))
    third = add_event(fake, age=10 * MINUTE)

    ran = run(CHECK)

    assert ran.status == 0
    assert ran.stdout == (
        f"missing: 2\nstored: 1\nStill missing: {first}\nStill missing: {third}\n"
    )
    assert mailoutbox == []
    assert stored_ids() & {first, third} == set()


def test_verbosity_2_lists_the_events(fake, run):
    stored, missing = add_event(fake, age=30 * MINUTE), add_event(fake, age=20 * MINUTE)
    deliver(fake, stored)

    ran = run(CHECK, verbosity=2)

    assert ran.stdout.splitlines() == [
        f"Webhook id: {missing}: missing",
        f"Webhook id: {stored}: stored",
        "missing: 1",
        "stored: 1",
        f"Still missing: {missing}",
    ]


def test_verbosity_0_prints_nothing_below_the_threshold(fake, run):
    add_event(fake)

    ran = run(CHECK, verbosity=0)

    assert (ran.status, ran.stdout, ran.stderr) == (0, "", "")


def test_a_terminal_shows_how_many_events_were_read_without_a_total(fake):
    for _ in range(3):
        add_event(fake)
    terminal = Terminal()

    call_command(CHECK, stdout=io.StringIO(), stderr=terminal)

    assert "Events: 3it" in terminal.getvalue()
    assert "%" not in terminal.getvalue()


def test_a_terminal_shows_how_many_missing_events_are_recovered(fake):
    for _ in range(3):
        add_event(fake)
    terminal = Terminal()

    call_command(CHECK, "--recover", stdout=io.StringIO(), stderr=terminal)

    assert "Missing events: 100%" in terminal.getvalue()
    assert "3/3" in terminal.getvalue()


# Too many missing events


def test_the_command_fails_when_too_many_events_are_missing(too_many, run):
    with pytest.raises(StripePendingWebhooksLimitExceeded) as failed:
        run(CHECK)

    message = "Pending webhooks threshold limit exceeded, current threshold is 2"
    assert failed.value.message == message
    assert str(failed.value) == f"{message}: 3 events have not arrived at shop.example.com"


def test_the_error_can_be_imported_by_its_name_of_0_14():
    assert command.StripePendingWebooksLimitExceeded is StripePendingWebhooksLimitExceeded


def test_the_missing_ids_are_printed_before_the_command_fails(too_many):
    stdout = io.StringIO()

    with pytest.raises(StripePendingWebhooksLimitExceeded):
        call_command(CHECK, stdout=stdout)

    assert stdout.getvalue() == (
        "missing: 3\n" + "".join(f"Still missing: {id}\n" for id in too_many)
    )


def test_the_admins_get_a_mail_with_the_ids(too_many, mail):
    sent = mail()

    assert sent.to == [ADMIN]
    assert sent.subject == f"{django_settings.EMAIL_SUBJECT_PREFIX}{command.SUBJECT}"
    assert command.SUBJECT == "Stripe webhooks pending threshold exceeded"
    assert sent.body.splitlines()[:2] == [
        "3 Stripe webhooks have not arrived at shop.example.com.",
        "STRIPE_PENDING_WEBHOOKS_THRESHOLD allows 2.",
    ]
    assert re.findall(r"^evt_\w+$", sent.body, re.MULTILINE) == too_many
    assert "more" not in sent.body


def test_the_mail_contains_the_time_with_its_time_zone(too_many, mail):
    time = re.search(r"^Time: (.+)$", mail().body, re.MULTILINE)[1]

    assert datetime.fromisoformat(time).tzinfo is not None


def test_the_mail_names_the_server_environment_if_it_is_set(too_many, mail, settings):
    settings.ENV_PREFIX = "staging"

    assert "\nServer environment: staging\n" in mail().body


def test_the_mail_names_no_server_environment_if_none_is_set(too_many, mail):
    assert "Server environment" not in mail().body


def test_the_mail_lists_at_most_1000_ids(fake, mail):
    for _ in range(1002):
        add_event(fake)

    body = mail().body

    assert len(re.findall(r"^evt_\w+$", body, re.MULTILINE)) == 1000
    assert "\n... and 2 more\n" in body


def test_a_mail_server_that_is_down_does_not_hide_the_error(too_many, run, monkeypatch, caplog):
    def fail(self, messages):
        raise ConnectionRefusedError("The mail server is down.")

    monkeypatch.setattr(EmailBackend, "send_messages", fail)

    with pytest.raises(StripePendingWebhooksLimitExceeded):
        run(CHECK)

    assert [record.exc_info[0] for record in caplog.records] == [ConnectionRefusedError]


def test_as_many_missing_events_as_the_threshold_are_allowed(fake, threshold, run, mailoutbox):
    for _ in range(threshold):
        add_event(fake)

    assert run(CHECK).status == 0
    assert mailoutbox == []


def test_the_default_threshold_is_20(fake, run):
    for _ in range(20):
        add_event(fake)
    assert run(CHECK).status == 0
    add_event(fake)

    with pytest.raises(StripePendingWebhooksLimitExceeded):
        run(CHECK)


def test_the_threshold_can_be_assigned(fake, mail, monkeypatch):
    monkeypatch.setattr(stripe_settings, "PENDING_WEBHOOKS_THRESHOLD", 1, raising=False)
    for _ in range(2):
        add_event(fake)

    assert "STRIPE_PENDING_WEBHOOKS_THRESHOLD allows 1." in mail().body


# The site


def test_the_first_site_is_named_by_default(site, too_many, mail):
    Site.objects.create(pk=2, domain="other.example.com", name="Other")

    assert "arrived at shop.example.com." in mail().body


def test_another_site_is_named_by_its_id(too_many, mail):
    Site.objects.create(pk=7, domain="other.example.com", name="Other")

    assert "arrived at other.example.com." in mail("--site", "7").body


def test_another_site_is_named_in_a_call(too_many, mail):
    Site.objects.create(pk=7, domain="other.example.com", name="Other")

    assert "arrived at other.example.com." in mail(site=7).body


@pytest.mark.parametrize("id", ["42", "0", "-1"])
def test_an_unknown_site_is_rejected_before_any_request(fake, run, id):
    with pytest.raises(CommandError, match=rf"^There is no site with the id {id}\.$"):
        run(CHECK, f"--site={id}")

    assert fake.requests == []


def test_an_invalid_site_id_is_rejected(fake, run):
    with pytest.raises(CommandError, match="--site: invalid int value: 'shop'"):
        run(CHECK, "--site", "shop")


def test_a_project_without_a_site_gets_the_mail_too(too_many, mail):
    Site.objects.all().delete()

    assert "arrived at this site." in mail().body


@pytest.fixture
def no_sites_app(settings):
    settings.INSTALLED_APPS = [
        app for app in settings.INSTALLED_APPS if app != "django.contrib.sites"
    ]


def test_a_project_without_the_sites_app_gets_the_mail_too(no_sites_app, too_many, mail):
    assert "arrived at this site." in mail().body


def test_a_site_cannot_be_named_without_the_sites_app(no_sites_app, fake, run):
    with pytest.raises(CommandError, match=r"needs django\.contrib\.sites"):
        run(CHECK, "--site", "1")

    assert fake.requests == []


# The window of time


@pytest.fixture
def of_all_ages(fake):
    """Ids of events by their age."""
    ages = {"40 days": 40, "29 days": 29, "4 days": 4, "2 days": 2}
    made = {name: add_event(fake, age=days * DAY) for name, days in ages.items()}
    made["1 hour"] = add_event(fake, age=60 * MINUTE)
    made["6 minutes"] = add_event(fake, age=6 * MINUTE)
    made["1 minute"] = add_event(fake, age=MINUTE)
    return made


@pytest.mark.parametrize(
    ("words", "options", "found"),
    [
        ([], {}, ["2 days", "1 hour", "6 minutes"]),
        (["--since", "30"], {}, ["29 days", "4 days", "2 days", "1 hour", "6 minutes"]),
        ([], {"since": 30}, ["29 days", "4 days", "2 days", "1 hour", "6 minutes"]),
        (["--since", "0.5"], {}, ["1 hour", "6 minutes"]),
        ([], {"since": 0.5}, ["1 hour", "6 minutes"]),
        (["--grace", "600"], {}, ["2 days", "1 hour"]),
        ([], {"grace": 600}, ["2 days", "1 hour"]),
        (["--grace", "30"], {}, ["2 days", "1 hour", "6 minutes", "1 minute"]),
        (["--grace", "0"], {}, ["2 days", "1 hour", "6 minutes", "1 minute"]),
        ([], {"grace": 0}, ["2 days", "1 hour", "6 minutes", "1 minute"]),
    ],
)
def test_events_in_the_window_are_checked(of_all_ages, run, words, options, found):
    ran = run(CHECK, *words, **options)

    assert still_missing(ran) == [of_all_ages[age] for age in found]


def test_the_request_names_the_window(of_all_ages, fake, run):
    run(CHECK)

    [request] = fake.requests
    created = request.params["created"]
    window = int(created["lte"]) - int(created["gte"])
    assert window == pytest.approx((3 * DAY - 5 * MINUTE).total_seconds(), abs=1)
    assert request.params["limit"] == "100"


INVALID_LENGTHS = ["nan", "inf", "-inf", "-1", "1e300"]


@pytest.mark.parametrize(
    "words",
    [[f"{option}={value}"] for option in ("--since", "--grace") for value in INVALID_LENGTHS]
    + [
        ["--since", "30.1"],
        ["--since", "0"],
        ["--since", "abc"],
        ["--grace", "abc"],
        ["--since", "1", "--grace", "86400"],
        ["--since", "1", "--grace", "86401"],
        ["--limit", "0"],
        ["--rate", "0"],
    ],
)
def test_an_invalid_option_is_rejected_before_any_request(fake, run, words):
    with pytest.raises(CommandError, match=words[0].split("=")[0].replace("--rate", "rate")):
        run(CHECK, *words)

    assert fake.requests == []


@pytest.mark.parametrize("name", ["since", "grace"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1, 1e300, None])
def test_an_invalid_window_is_rejected_in_a_call_too(fake, run, name, value):
    with pytest.raises(CommandError, match=f"--{name}"):
        run(CHECK, **{name: value})


@pytest.mark.parametrize(("since", "grace"), [(31 * DAY, MINUTE), (MINUTE, MINUTE), (DAY, -MINUTE)])
def test_the_job_rejects_an_invalid_window(fake, since, grace):
    with pytest.raises(ValueError, match="window"):
        check_pending_webhooks(since=since, grace=grace)


# Types


def test_every_type_is_checked_by_default(fake, run):
    found = [add_event(fake, type) for type in (TYPE, "charge.succeeded", "customer.updated")]

    ran = run(CHECK)

    assert still_missing(ran) == found
    assert "types" not in fake.requests[0].params


@pytest.mark.parametrize("kind", [list, tuple, set, frozenset])
def test_the_request_names_the_types_of_the_setting(fake, run, settings, kind):
    settings.STRIPE_WEBHOOK_EVENT_TYPES = kind([TYPE, "charge.succeeded"])
    wanted = add_event(fake, "charge.succeeded")
    add_event(fake, "charge.refunded")

    ran = run(CHECK)

    assert still_missing(ran) == [wanted]
    assert sorted(fake.requests[0].params["types"]) == ["charge.succeeded", TYPE]


@pytest.mark.parametrize("types", [["charge.*"], ["charge.dispute.created", "charge.*"]])
def test_wildcard_types_are_filtered_after_the_response(fake, run, settings, types):
    settings.STRIPE_WEBHOOK_EVENT_TYPES = types
    wanted = [add_event(fake, "charge.succeeded"), add_event(fake, "charge.dispute.created")]
    add_event(fake, "charges.nonsense")
    add_event(fake, TYPE)

    ran = run(CHECK)

    assert still_missing(ran) == wanted
    assert "types" not in fake.requests[0].params


@pytest.mark.parametrize(("number", "are_sent"), [(20, True), (21, False)])
def test_more_types_than_stripe_accepts_are_filtered_after_the_response(
    fake, run, settings, number, are_sent
):
    types = [f"topup.type_{number}" for number in range(number)]
    settings.STRIPE_WEBHOOK_EVENT_TYPES = types
    wanted = add_event(fake, types[-1])
    add_event(fake, TYPE)

    ran = run(CHECK)

    assert still_missing(ran) == [wanted]
    assert ("types" in fake.requests[0].params) is are_sent


def test_an_empty_list_of_types_means_every_type(fake, run, settings):
    settings.STRIPE_WEBHOOK_EVENT_TYPES = []
    found = add_event(fake)

    assert still_missing(run(CHECK)) == [found]


# Recovering


@pytest.fixture
def gap(fake):
    """The ids of 250 undelivered events in the middle of 450, oldest first."""
    ids = [add_event(fake, age=(500 - number) * MINUTE) for number in range(450)]
    for id in ids[:100] + ids[350:]:
        deliver(fake, id)
    return ids[100:350]


def test_a_gap_in_the_past_is_found(gap, run):
    with pytest.raises(StripePendingWebhooksLimitExceeded, match="250 events"):
        run(CHECK)


def test_a_gap_in_the_past_is_recovered_oldest_first(gap, applied, fake, run, mailoutbox):
    ran = run(CHECK, "--recover")

    assert applied == gap
    assert unapplied() == set()
    assert StripeWebhook.objects.count() == 450
    assert ran.status == 0
    assert ran.stdout.splitlines()[-1] == "applied: 250"
    assert mailoutbox == []
    assert event_calls(fake) == {LIST: 5, RETRIEVE: 250}


def test_a_recovered_gap_is_not_recovered_again(gap, applied, fake, run):
    run(CHECK, "--recover")
    fake.requests.clear()

    ran = run(CHECK, "--recover")

    assert len(applied) == 250
    assert ran.stdout == "stored: 450\n"
    assert event_calls(fake) == {LIST: 5}


def enqueue(webhook_id):
    raise AssertionError("The processor was called.")


@pytest.mark.parametrize("processor", ["inline", "deferred", f"{__name__}.enqueue", enqueue])
def test_a_recovered_event_is_applied_once_by_the_command_with_any_processor(
    fake, applied, run, settings, processor
):
    settings.STRIPE_WEBHOOK_PROCESSOR = processor
    id = add_event(fake)

    ran = run(CHECK, "--recover")

    assert applied == [id]
    assert ran.stdout == "missing: 1\napplied: 1\n"
    assert run("process_webhooks").stdout == ""
    assert applied == [id]


def test_an_event_without_handlers_is_recovered_as_applied(fake, run):
    id = add_event(fake)

    run(CHECK, "--recover")

    webhook = StripeWebhook.objects.get()
    assert (webhook.pk, webhook.is_parsed, webhook.parse_error) == (id, True, "")


def test_a_recovered_event_is_stored_without_its_secrets(fake, run):
    id = add_event(fake, about={"object": "topup", "client_secret": "pi_1_secret_doNotStore"})

    run(CHECK, "--recover")

    raw_data = StripeWebhook.objects.get().raw_data
    assert (raw_data["id"], raw_data["type"]) == (id, TYPE)
    assert raw_data["data"]["object"] == {"object": "topup"}
    assert "doNotStore" not in json.dumps(raw_data)


def test_an_event_whose_handler_fails_is_reported_and_no_longer_missing(
    fake, failing, threshold, run, caplog, mailoutbox
):
    found = [add_event(fake, age=age * MINUTE) for age in (40, 30, 20, 10)]
    failing.update(found[:3])

    ran = run(CHECK, "--recover")

    assert ran.status == 1
    assert f"Exception happened\nWebhook id: {found[0]}\nTraceback " in ran.stdout
    assert ran.stdout.endswith("failed: 3\n")
    assert still_missing(ran) == []
    assert mailoutbox == []
    assert stored_ids() == set(found)
    assert unapplied() == set(found[:3])
    assert [it.getMessage() for it in caplog.records if it.name == "aa-stripe"] == [
        f"Exception happened. Webhook id: {found[0]}",
        *(
            f"Exception happened. Webhook id: {id}: RuntimeError: {id} cannot be handled."
            for id in found[1:3]
        ),
    ]


def test_an_event_that_a_handler_rejects_is_counted_separately(fake, on, run):
    add_event(fake)

    @on(TYPE)
    def reject(webhook):
        raise StripeWebhookParseError("There is no such topup.")

    ran = run(CHECK, "--recover")

    assert ran.status == 0
    assert ran.stdout == "missing: 1\napplied, handler error recorded: 1\n"
    assert StripeWebhook.objects.get().parse_error == "There is no such topup."


def after_listing(fake, act):
    """Call ``act()`` once, after the events are listed and before one is retrieved."""
    acted = []

    def hook(request, response):
        if request.path == "/v1/events" and not acted:
            acted.append(act())

    fake.after_request.append(hook)


def test_an_event_that_is_delivered_and_applied_meanwhile_is_skipped(fake, applied, run):
    id = add_event(fake)
    after_retrieval(fake, lambda: deliver(fake, id))

    ran = run(CHECK, "--recover")

    assert applied == []
    assert ran.status == 0
    assert ran.stdout == "missing: 1\nskipped (delivered in the meantime): 1\n"
    assert StripeWebhook.objects.count() == 1


def after_retrieval(fake, act):
    """Call ``act()`` once, after an event is retrieved and before it is stored."""
    acted = []

    def hook(request, response):
        if request.path.startswith("/v1/events/") and not acted:
            acted.append(act())

    fake.after_request.append(hook)


def test_an_event_that_is_delivered_and_not_applied_meanwhile_is_applied_once(fake, applied, run):
    id = add_event(fake)
    after_retrieval(fake, lambda: store(id=id))

    ran = run(CHECK, "--recover")

    assert applied == [id]
    assert ran.stdout == "missing: 1\napplied: 1\n"
    assert unapplied() == set()


def test_an_event_of_the_other_mode_is_stored_and_not_applied(fake, applied, run):
    id = add_event(fake, livemode=True)

    ran = run(CHECK, "--recover")

    assert applied == []
    assert ran.stdout == f"missing: 1\nskipped ({events.OTHER_MODE}): 1\n"
    assert stored_ids() == {id}
    assert StripeWebhook.objects.get().is_wrong_mode


def test_an_event_that_stripe_deletes_meanwhile_stays_missing(fake, applied, run):
    deleted, kept = add_event(fake, age=2 * DAY), add_event(fake)
    after_listing(fake, lambda: fake.account.remove("event", deleted))

    ran = run(CHECK, "--recover")

    assert applied == [kept]
    assert ran.status == 0
    assert f"skipped ({events.GONE}): 1\n" in ran.stdout
    assert still_missing(ran) == [deleted]


def test_an_event_whose_retrieval_fails_stays_missing_and_does_not_stop_the_run(fake, applied, run):
    first, second = add_event(fake, age=2 * DAY), add_event(fake)
    fake.fail_next(RETRIEVE, Fault.ERROR_500_BEFORE)

    ran = run(CHECK, "--recover")

    assert applied == [second]
    assert ran.status == 1
    assert f"Exception happened\nWebhook id: {first}\nTraceback " in ran.stdout
    assert still_missing(ran) == [first]


def test_the_events_listed_before_the_listing_failed_are_recovered(fake, applied, run):
    found = [add_event(fake, age=(200 - number) * MINUTE) for number in range(150)]
    fail_second_page(fake, LIST)

    ran = run(CHECK, "--recover")

    assert applied == found[50:]
    assert ran.status == 1
    assert "applied: 100\n" in ran.stdout
    assert "Exception happened\nThe listing of Stripe's events\nTraceback " in ran.stdout
    assert ran.stdout.endswith("failed: 1\n")
    assert still_missing(ran) == []


def test_a_listing_that_does_not_begin_fails(fake, run):
    fake.fail_next(LIST, Fault.REQUEST_LOST)

    ran = run(CHECK)

    assert ran.status == 1
    assert ran.stdout.endswith("failed: 1\n")
    assert event_calls(fake) == {LIST: 1}


@pytest.mark.parametrize("key", ["sk_wrong", ""])
def test_a_refused_key_fails_at_once(fake, run, settings, key):
    add_event(fake)
    settings.STRIPE_API_KEY = key

    ran = run(CHECK, "--recover")

    assert ran.status == 1
    assert ran.stdout.endswith("failed: 1\n")
    assert len(fake.requests) <= 1


def test_a_key_without_permission_to_read_events_ends_the_run_early(fake, run):
    found = [add_event(fake, age=(20 - number) * MINUTE) for number in range(10)]

    def forbid(request):
        if request.path.startswith("/v1/events/"):
            request.headers["authorization"] = "Bearer pk_test_publishable"

    fake.before_request.append(forbid)

    ran = run(CHECK, "--recover")

    assert ran.status == 1
    assert "Stopped early: Stripe rejected the API key" in ran.stdout
    assert event_calls(fake) == {LIST: 1, RETRIEVE: 3}
    assert still_missing(ran) == found


# Options


def test_without_recover_no_event_is_retrieved(fake, applied, run):
    add_event(fake)

    run(CHECK)

    assert applied == []
    assert event_calls(fake) == {LIST: 1}


def test_a_dry_run_lists_the_missing_events_and_changes_nothing(too_many, fake, run, mailoutbox):
    with CaptureQueriesContext(connection) as captured:
        ran = run(CHECK, "--recover", "--dry-run")

    assert ran.status == 0
    assert still_missing(ran) == too_many
    assert mailoutbox == []
    assert all(sql.startswith("SELECT") for sql in statements(captured))
    assert event_calls(fake) == {LIST: 1}


def test_a_limit_is_the_number_of_events_that_are_retrieved(fake, applied, run):
    found = [add_event(fake, age=age * MINUTE) for age in (40, 30, 20, 10)]

    ran = run(CHECK, "--recover", "--limit", "2")

    assert applied == found[:2]
    assert still_missing(ran) == found[2:]
    assert event_calls(fake) == {LIST: 1, RETRIEVE: 2}


def test_the_command_fails_if_a_limit_leaves_too_many_events_missing(
    fake, threshold, applied, mail
):
    found = [add_event(fake, age=age * MINUTE) for age in (40, 30, 20, 10)]

    body = mail("--recover", "--limit", "1").body

    assert applied == found[:1]
    assert re.findall(r"^evt_\w+$", body, re.MULTILINE) == found[1:]


class StopsAfter(Watcher):
    """A watcher that stops the run after ``number`` events."""

    def __init__(self, number):
        self.left = number

    @property
    def stop_reason(self):
        return "enough" if self.left <= 0 else ""

    def saw(self, label, outcome):
        self.left -= 1


def test_a_stopped_run_returns_the_events_that_are_still_missing(fake, applied):
    found = [add_event(fake, age=age * MINUTE) for age in (40, 30, 20, 10)]

    pending = check_pending_webhooks(recover=True, watcher=StopsAfter(len(found) + 1))

    assert applied == found[:1]
    assert pending.missing == found[1:]
    assert pending.report.stopped == "enough"


def test_a_stopped_run_reads_no_further_page(fake, applied):
    for _ in range(150):
        add_event(fake)

    pending = check_pending_webhooks(recover=True, watcher=StopsAfter(1))

    assert applied == []
    assert len(pending.missing) == 100
    assert event_calls(fake) == {LIST: 1}


def test_the_rate_is_passed_to_the_job(fake, run, monkeypatch):
    rates, at_rate = [], events.at_rate
    monkeypatch.setattr(events, "at_rate", lambda rate: rates.append(rate) or at_rate(rate))

    run(CHECK, "--rate", "250")

    assert rates == [250]


# Cost


@pytest.mark.parametrize(("number", "pages"), [(1, 1), (99, 1), (100, 1), (101, 2), (250, 3)])
@pytest.mark.parametrize("are_stored", [False, True])
def test_a_page_is_one_request_and_one_query(fake, number, pages, are_stored):
    for _ in range(number):
        id = add_event(fake)
        if are_stored:
            deliver(fake, id)

    with CaptureQueriesContext(connection) as captured:
        pending = check_pending_webhooks()

    assert len(pending.missing) == (0 if are_stored else number)
    assert len(statements(captured)) == pages
    assert event_calls(fake) == {LIST: pages}


@pytest.mark.parametrize(
    ("has_handler", "cost"),
    [
        (False, 1),  # stored as applied
        (True, 2),  # stored, then marked
    ],
)
def test_each_recovered_event_costs_one_statement_or_two_with_a_handler(
    fake, request, has_handler, cost
):
    if has_handler:
        request.getfixturevalue("applied")
    for _ in range(10):
        add_event(fake)

    with CaptureQueriesContext(connection) as captured:
        check_pending_webhooks(recover=True)

    page, locks = 1, has_handler and connection.vendor == "sqlite"
    assert len(statements(captured)) == page + 10 * (cost + locks)
    assert StripeWebhook.objects.filter(is_parsed=True).count() == 10
