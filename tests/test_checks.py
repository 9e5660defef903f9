"""Django's system checks report wrong settings, without their secrets."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import django
import pytest
from django.core import checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.urls import include, path
from rest_framework.throttling import ScopedRateThrottle, SimpleRateThrottle
from rest_framework.views import APIView

import aa_stripe.checks
from aa_stripe import api
from aa_stripe.serializers import StripeCustomerSerializer
from aa_stripe.settings import DEFAULTS, UNPREFIXED, stripe_settings

ROOT = Path(__file__).resolve().parent.parent
# Invented values: no key of Stripe's looks like this.
SECRET = "sk_test_doNotShowMe"
LIVE_SECRET = "sk_live_doNotShowMe"
WEBHOOK_SECRET = "whsec_doNotShowMe"

NO_SUCH_FUNCTION = "not a function"


class OurThrottle(ScopedRateThrottle):
    """A project's own throttle."""


def payer(request):
    return request.user


@pytest.fixture(autouse=True)
def good_settings(settings):
    """Valid settings; a test breaks one of them."""
    settings.DEBUG = False
    settings.STRIPE_API_KEY = SECRET
    settings.STRIPE_WEBHOOK_ENDPOINT_SECRET = WEBHOOK_SECRET
    return settings


def found():
    """Return the messages of our checks, as ``manage.py check --tag aa_stripe`` does."""
    return checks.run_checks(tags=["aa_stripe"])


def ids():
    return [message.id.removeprefix("aa_stripe.") for message in found()]


def test_good_settings_pass():
    assert found() == []


@pytest.mark.django_db
def test_the_checks_run_with_all_of_the_projects_checks(settings):
    settings.STRIPE_API_KEY = ""

    assert "aa_stripe.E001" in [message.id for message in checks.run_checks()]


@pytest.mark.django_db
def test_the_check_command_stops_at_an_error_and_prints_its_hint(settings):
    settings.STRIPE_API_KEY = "pk_test_doNotShowMe"

    with pytest.raises(SystemCheckError) as stopped:
        call_command("check", stdout=io.StringIO(), stderr=io.StringIO())

    assert "(aa_stripe.E002) STRIPE_API_KEY is a publishable key" in str(stopped.value)
    assert "HINT: Use the secret key" in str(stopped.value)


@pytest.mark.django_db
def test_an_error_can_be_silenced_by_its_id(settings):
    settings.STRIPE_TIMEOUT = -1
    settings.SILENCED_SYSTEM_CHECKS = ["aa_stripe.E009"]

    call_command("check", stdout=io.StringIO(), stderr=io.StringIO())


@pytest.mark.django_db
def test_a_warning_does_not_stop_the_check_command(settings):
    settings.STRIPE_WEBHOOK_ENDPOINT_SECRET = ""
    printed = io.StringIO()

    call_command("check", stdout=printed, stderr=printed)

    assert "aa_stripe.W001" in printed.getvalue()


def test_a_setting_assigned_at_run_time_is_checked(monkeypatch):
    monkeypatch.setitem(vars(stripe_settings), "TIMEOUT", -1)

    assert ids() == ["E009"]


# The API key


@pytest.mark.parametrize(
    "key",
    [
        "sk_test_abc123",
        "rk_test_abc123",
        "sk_live_abc123",
        "rk_live_abc123",
        "sk_org_live_abc123",
        "sk_test_not-a-real-one...",
    ],
)
def test_secret_and_restricted_keys_pass(settings, key):
    settings.STRIPE_API_KEY = key

    assert ids() == []


@pytest.mark.parametrize("key", ["", None])
def test_no_key_is_an_error(settings, key):
    settings.STRIPE_API_KEY = key

    assert ids() == ["E001"]
    assert "SILENCED_SYSTEM_CHECKS" in found()[0].hint


def test_a_missing_key_setting_is_an_error(settings):
    del settings.STRIPE_API_KEY

    assert ids() == ["E001"]


def test_the_test_command_of_a_project_without_a_key_is_not_stopped(settings, monkeypatch):
    settings.STRIPE_API_KEY = ""
    monkeypatch.setattr(sys, "argv", ["manage.py", "test", "--parallel"])

    assert ids() == []


@pytest.mark.parametrize("key", ["pk_test_abc123", "pk_live_abc123"])
def test_a_publishable_key_in_the_secret_keys_place_is_an_error(settings, key):
    settings.STRIPE_API_KEY = key

    assert ids() == ["E002"]


@pytest.mark.parametrize(
    "key",
    [
        WEBHOOK_SECRET,
        "acct_123",
        "abc",
        "sk_",
        "SK_TEST_ABC",
        " sk_test_abc",
        "sk_test_abc\n",
        "sk_test_\u00e4",
        b"sk_test_abc",
        ["sk_test_abc"],
        42,
    ],
)
def test_a_value_that_is_not_a_secret_key_is_an_error(settings, key):
    settings.STRIPE_API_KEY = key

    assert ids() == ["E003"]


@pytest.mark.parametrize("key", ["sk_live_abc", "rk_live_abc", "sk_org_live_abc"])
def test_a_live_key_with_debug_is_an_error(settings, key):
    settings.DEBUG = True
    settings.STRIPE_API_KEY = key

    assert ids() == ["E004"]


def test_a_test_key_with_debug_passes(settings):
    settings.DEBUG = True

    assert ids() == []


# The webhook secret


@pytest.mark.parametrize(
    "secret", ["whsec_a", ["whsec_a", "whsec_b"], ("whsec_a",), "of a fake Stripe"]
)
def test_a_webhook_secret_or_several_pass(settings, secret):
    settings.STRIPE_WEBHOOK_ENDPOINT_SECRET = secret

    assert ids() == []


@pytest.mark.parametrize("secret", ["", None, [], ()])
def test_no_webhook_secret_is_a_warning(settings, secret):
    settings.STRIPE_WEBHOOK_ENDPOINT_SECRET = secret

    assert ids() == ["W001"]
    assert found()[0].level == checks.WARNING


@pytest.mark.parametrize(
    "secret", ["sk_test_abc", "rk_live_abc", "pk_test_abc", ["whsec_a", "sk_test_abc"]]
)
def test_an_api_key_in_the_webhook_secrets_place_is_an_error(settings, secret):
    settings.STRIPE_WEBHOOK_ENDPOINT_SECRET = secret

    assert ids() == ["E005"]


@pytest.mark.parametrize(
    "secret", [b"whsec_a", 42, {"whsec_a"}, {"a": "whsec_a"}, [""], ["whsec_a", None], [["a"]]]
)
def test_a_webhook_secret_of_the_wrong_type_is_an_error(settings, secret):
    settings.STRIPE_WEBHOOK_ENDPOINT_SECRET = secret

    assert ids() == ["E006"]


@pytest.mark.parametrize(
    "secret",
    ["whsec_a ", " whsec_a", "whsec_a\n", "\twhsec_a", "whsec_a,whsec_b", ["whsec_a", "whsec_b\n"]],
)
def test_a_webhook_secret_that_signs_nothing_is_an_error(settings, secret):
    settings.STRIPE_WEBHOOK_ENDPOINT_SECRET = secret

    assert ids() == ["E028"]


# The user model


@pytest.mark.parametrize("label", ["auth.User", "auth.Group", None, ""])
def test_an_installed_model_or_none_passes(settings, label):
    settings.STRIPE_USER_MODEL = label
    settings.STRIPE_PAYER_FROM_REQUEST = f"{__name__}.payer"

    assert ids() == []


@pytest.mark.parametrize(
    "label", ["auth.Missing", "nowhere.User", "User", "django.auth.User", ".", 42, b"auth.User"]
)
def test_a_user_model_that_is_not_installed_is_an_error(settings, label):
    settings.STRIPE_USER_MODEL = label

    assert ids() == ["E007"]
    assert repr(label) in found()[0].msg


# Numbers


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("STRIPE_REQUESTS_PER_SECOND", 0.5),
        ("STRIPE_REQUESTS_PER_SECOND", 25),
        ("STRIPE_TIMEOUT", 0.1),
        ("STRIPE_TIMEOUT", 600),
        ("STRIPE_CLAIM_LEASE", 0.5),
        ("STRIPE_WEBHOOK_HANDLER_TIMEOUT", 0.5),
        ("STRIPE_MAX_NETWORK_RETRIES", 0),
        ("STRIPE_MAX_NETWORK_RETRIES", 10),
        ("STRIPE_PENDING_WEBHOOKS_THRESHOLD", 0),
        ("STRIPE_PENDING_WEBHOOKS_THRESHOLD", 10**6),
    ],
)
def test_valid_numbers_pass(settings, setting, value):
    setattr(settings, setting, value)

    assert ids() == []


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), "20", None, True, [20]])
@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("STRIPE_REQUESTS_PER_SECOND", "E008"),
        ("STRIPE_TIMEOUT", "E009"),
        ("STRIPE_CLAIM_LEASE", "E024"),
        ("STRIPE_WEBHOOK_HANDLER_TIMEOUT", "E029"),
    ],
)
def test_a_rate_or_timeout_that_is_not_a_positive_number_is_an_error(
    settings, setting, value, expected
):
    setattr(settings, setting, value)

    assert ids() == [expected]
    assert repr(value) in found()[0].msg


@pytest.mark.parametrize("value", [-1, 11, 1.0, "2", None, False])
def test_retries_outside_of_zero_to_ten_are_an_error(settings, value):
    settings.STRIPE_MAX_NETWORK_RETRIES = value

    assert ids() == ["E010"]


@pytest.mark.parametrize("value", [-1, 20.5, "20", None, True])
def test_a_threshold_that_is_not_a_non_negative_integer_is_an_error(settings, value):
    settings.STRIPE_PENDING_WEBHOOKS_THRESHOLD = value

    assert ids() == ["E011"]


@pytest.mark.parametrize(
    ("key", "rate", "expected"),
    [
        (LIVE_SECRET, 100, []),
        (LIVE_SECRET, 100.5, ["W002"]),
        ("rk_live_abc", 10**400, ["W002"]),
        (SECRET, 25, []),
        (SECRET, 26, ["W003"]),
        (SECRET, 101, ["W003"]),
        ("rk_test_abc", 26, ["W003"]),
        ("sk_org_test_abc", 26, ["W003"]),
        # The higher limit applies to a key that does not show its mode.
        ("sk_something", 26, []),
        ("sk_something", 101, ["W002"]),
    ],
)
def test_a_rate_above_stripes_limit_for_the_keys_mode_is_a_warning(settings, key, rate, expected):
    settings.STRIPE_API_KEY = key
    settings.STRIPE_REQUESTS_PER_SECOND = rate

    assert ids() == expected


# Throttling


@pytest.mark.parametrize("rates", [{"stripe": "60/min"}, {"stripe": None}, {"stripe": "1/day"}])
def test_a_scoped_throttle_with_a_rate_passes(settings, monkeypatch, rates):
    monkeypatch.setattr(SimpleRateThrottle, "THROTTLE_RATES", rates)
    settings.REST_FRAMEWORK = {
        "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.ScopedRateThrottle"]
    }

    assert ids() == []


@pytest.mark.parametrize(
    "rates",
    [{}, {"other": "60/min"}, *({"stripe": bad} for bad in ["", "60", "x/min", "60/", "1/x", 60])],
)
@pytest.mark.parametrize(
    "throttle",
    ["rest_framework.throttling.ScopedRateThrottle", f"{__name__}.{OurThrottle.__name__}"],
)
def test_a_scoped_throttle_without_a_rate_for_our_views_is_an_error(
    settings, monkeypatch, rates, throttle
):
    monkeypatch.setattr(SimpleRateThrottle, "THROTTLE_RATES", rates)
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_CLASSES": [throttle]}

    assert ids() == ["E012"]
    assert throttle.rpartition(".")[2] in found()[0].msg


def test_two_throttles_without_a_rate_are_one_error(settings, monkeypatch):
    monkeypatch.setattr(SimpleRateThrottle, "THROTTLE_RATES", {})
    scoped = "rest_framework.throttling.ScopedRateThrottle"
    settings.REST_FRAMEWORK = {"DEFAULT_THROTTLE_CLASSES": [scoped, scoped]}

    assert ids() == ["E012"]


def test_a_throttle_without_scopes_is_not_checked(settings):
    settings.REST_FRAMEWORK = {
        "DEFAULT_THROTTLE_CLASSES": ["rest_framework.throttling.AnonRateThrottle"]
    }

    assert ids() == []


# The currency


@pytest.mark.parametrize("currency", ["usd", "jpy", "kwd", "isk"])
def test_a_currency_that_stripe_supports_passes(settings, currency):
    settings.STRIPE_DEFAULT_CURRENCY = currency

    assert ids() == []


@pytest.mark.parametrize("currency", ["xyz", "USD", "", None, 840, ["usd"]])
def test_a_default_currency_that_stripe_does_not_support_is_an_error(settings, currency):
    settings.STRIPE_DEFAULT_CURRENCY = currency

    assert ids() == ["E013"]
    assert repr(currency) in found()[0].msg


def test_a_retired_default_currency_is_a_warning(settings):
    settings.STRIPE_DEFAULT_CURRENCY = "hrk"

    assert ids() == ["W004"]


# Subscriptions


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "redis://127.0.0.1",
        "redis://:password@cache.example.com:6379/0",
        "rediss://user:password@cache.example.com:6380/1?ssl_cert_reqs=none",
    ],
)
def test_the_url_of_a_redis_server_passes(settings, url):
    settings.STRIPE_RATE_LIMIT_URL = url

    assert ids() == []


@pytest.mark.parametrize(
    "url",
    [
        "cache.example.com",
        "memcached://:doNotShowMe@cache.example.com",
        "http://:doNotShowMe@cache.example.com",
        "redis://",
        "redis://:do/Not/Show/Me@cache.example.com",
        "redis://:doNotShowMe@cache.example.com:port",
        "redis://cache.example.com /0",
        "unix:///run/redis.sock",
        6379,
        ["redis://127.0.0.1"],
    ],
)
def test_another_rate_limit_url_is_an_error(settings, url):
    settings.STRIPE_RATE_LIMIT_URL = url

    assert ids() == ["E025"]
    assert "doNotShowMe" not in found()[0].msg + found()[0].hint


@pytest.mark.parametrize("missing", ["limits", "redis"])
def test_a_rate_limit_url_without_its_packages_is_an_error(settings, monkeypatch, missing):
    settings.STRIPE_RATE_LIMIT_URL = "redis://127.0.0.1"
    find_spec = aa_stripe.checks.find_spec
    monkeypatch.setattr(
        aa_stripe.checks, "find_spec", lambda name: None if name == missing else find_spec(name)
    )

    assert ids() == ["E026"]
    assert 'pip install "aa-stripe[redis]"' in found()[0].hint


@pytest.mark.parametrize("transactions", ["forbid", "allow"])
def test_payments_in_transactions_can_be_allowed(settings, transactions):
    settings.STRIPE_TRANSACTIONS = transactions

    assert ids() == []


@pytest.mark.parametrize("transactions", ["deny", "ALLOW", "", None, True, ["allow"]])
def test_another_value_for_transactions_is_an_error(settings, transactions):
    settings.STRIPE_TRANSACTIONS = transactions

    assert ids() == ["E023"]
    assert repr(transactions) in found()[0].msg
    assert '"allow"' in found()[0].hint


@pytest.mark.parametrize(
    "behavior", ["allow_incomplete", "default_incomplete", "error_if_incomplete"]
)
def test_a_payment_behavior_that_can_create_a_subscription_passes(settings, behavior):
    settings.STRIPE_SUBSCRIPTION_PAYMENT_BEHAVIOR = behavior

    assert ids() == []


@pytest.mark.parametrize(
    "behavior",
    [
        "pending_if_incomplete",
        "incomplete",
        "ALLOW_INCOMPLETE",
        "",
        None,
        True,
        ["allow_incomplete"],
    ],
)
def test_another_payment_behavior_is_an_error(settings, behavior):
    settings.STRIPE_SUBSCRIPTION_PAYMENT_BEHAVIOR = behavior

    assert ids() == ["E020"]
    assert repr(behavior) in found()[0].msg
    assert "allow_incomplete, default_incomplete, error_if_incomplete" in found()[0].hint


# The payer


@pytest.mark.parametrize("path", [f"{__name__}.payer", None, ""])
def test_a_function_or_none_passes(settings, path):
    settings.STRIPE_PAYER_FROM_REQUEST = path

    assert ids() == []


@pytest.mark.parametrize(
    "path",
    [
        f"{__name__}.missing",
        f"{__name__}.NO_SUCH_FUNCTION",
        "no_such_module.payer",
        "payer",
        payer,
        42,
    ],
)
def test_a_payer_function_that_cannot_be_called_is_an_error(settings, path):
    settings.STRIPE_PAYER_FROM_REQUEST = path

    assert ids() == ["E014"]


@pytest.mark.parametrize(
    ("accepted", "found"),
    [(None, []), (True, []), (False, []), ("no", ["E032"]), (0, ["E032"])],
)
def test_whether_unbound_cards_are_accepted_is_true_false_or_none(settings, accepted, found):
    settings.STRIPE_ACCEPT_UNBOUND_CARDS = accepted

    assert ids() == found


@pytest.mark.parametrize("path", [f"{__name__}.payer", "aa_stripe.models.customer_data", None, ""])
def test_a_function_of_customer_data_or_none_passes(settings, path):
    settings.STRIPE_CUSTOMER_DATA = path

    assert ids() == []


@pytest.mark.parametrize(
    "path",
    [f"{__name__}.missing", f"{__name__}.NO_SUCH_FUNCTION", "no_such_module.data", payer, 5],
)
def test_a_function_of_customer_data_that_cannot_be_called_is_an_error(settings, path):
    settings.STRIPE_CUSTOMER_DATA = path

    assert ids() == ["E031"]


OURS = "ChargeDetailsAPI, CustomerDetailsAPI, CustomersAPI, SetupIntentsAPI"


@pytest.fixture
def office(settings):
    """A payer that is not the user."""
    settings.STRIPE_USER_MODEL = "auth.Group"


def route(settings, *views):
    """Route these views, and ours only if they are among them."""
    urls = ModuleType("urls_of_checks")
    urls.urlpatterns = [
        path("ours/", include([path("", it.as_view()) for it in views])),
        path("theirs", lambda request: None),
    ]
    settings.ROOT_URLCONF = urls


def test_another_user_model_needs_a_function_for_our_views(office):
    [message] = found()

    assert message.id == "aa_stripe.W005"
    assert message.msg.endswith(f"unless request.user is one: {OURS}.")


@pytest.mark.parametrize("label", ["auth.User", None, "no.Model", 5])
def test_the_user_model_itself_needs_no_function(settings, label):
    settings.STRIPE_USER_MODEL = label

    assert "W005" not in ids()


def test_with_a_function_for_the_payer_another_user_model_passes(office, settings):
    settings.STRIPE_PAYER_FROM_REQUEST = f"{__name__}.payer"

    assert ids() == []


def test_without_views_that_have_a_payer_another_user_model_passes(office, settings):
    route(settings, api.CouponDetailsAPI, api.WebhookAPI, APIView)

    assert ids() == []


def test_a_site_without_urls_passes(office, settings):
    settings.ROOT_URLCONF = None

    assert ids() == []


class PlainCustomers(api.CustomersAPI):
    """A view that overrides nothing of the payer's."""

    throttle_scope = "cards"


class OwnSave(api.CustomersAPI):
    def perform_create(self, serializer):
        serializer.save(user=self.request.user.office)


class OwnSerializer(api.CustomersAPI):
    class serializer_class(StripeCustomerSerializer):
        def create(self, validated_data):
            return None


class OwnCharges(api.ChargeDetailsAPI):
    def get_queryset(self):
        return self.queryset.none()


class OwnPayer(api.SetupIntentsAPI):
    payer = None


def test_a_subclass_that_needs_the_payer_is_named(office, settings):
    route(settings, PlainCustomers, OwnSave)

    [message] = found()

    assert message.msg.endswith("unless request.user is one: PlainCustomers.")


@pytest.mark.parametrize("view", [OwnSave, OwnSerializer, OwnCharges, OwnPayer])
def test_a_subclass_that_does_without_the_payer_passes(office, settings, view):
    route(settings, view)

    assert ids() == []


# Access


def access(subscription):
    """A project's own decision."""


@pytest.mark.parametrize("path", [f"{__name__}.access", None, ""])
def test_a_function_that_decides_on_access_passes(settings, path):
    settings.STRIPE_SUBSCRIPTION_HAS_ACCESS = path

    assert ids() == []


@pytest.mark.parametrize("path", [f"{__name__}.missing", "no_such_module.access", access, 42])
def test_a_function_that_decides_on_access_and_cannot_be_called_is_an_error(settings, path):
    settings.STRIPE_SUBSCRIPTION_HAS_ACCESS = path

    assert ids() == ["E030"]


# Webhooks


def enqueue(webhook_id):
    """A project's own function that adds an event to its queue."""


@pytest.mark.parametrize("processor", ["inline", "deferred", f"{__name__}.enqueue", enqueue])
def test_a_processor_that_can_be_called_passes(settings, processor):
    settings.STRIPE_WEBHOOK_PROCESSOR = processor

    assert ids() == []


@pytest.mark.parametrize(
    "processor",
    [
        f"{__name__}.missing",
        f"{__name__}.NO_SUCH_FUNCTION",
        "no_such_module.enqueue",
        "Inline",
        "eager",
        "",
        None,
        42,
        ["inline"],
    ],
)
def test_a_processor_that_cannot_be_called_is_an_error(settings, processor):
    settings.STRIPE_WEBHOOK_PROCESSOR = processor

    assert ids() == ["E021"]
    assert repr(processor) in found()[0].msg
    assert '"inline", "deferred"' in found()[0].hint


@pytest.mark.parametrize("processor", ["cron", f"{__name__}.enqueue", enqueue])
def test_a_processor_of_charges_that_can_be_called_passes(settings, processor):
    settings.STRIPE_CHARGE_PROCESSOR = processor

    assert ids() == []


@pytest.mark.parametrize(
    "processor",
    [
        f"{__name__}.missing",
        "no_such_module.enqueue",
        ".enqueue",
        "inline",
        "",
        None,
        42,
        ["cron"],
    ],
)
def test_a_processor_of_charges_that_cannot_be_called_is_an_error(settings, processor):
    settings.STRIPE_CHARGE_PROCESSOR = processor

    assert ids() == ["E027"]
    assert repr(processor) in found()[0].msg
    assert '"cron"' in found()[0].hint


@pytest.fixture
def fresh_imports(monkeypatch):
    """A state in which modules that need an optional package are imported again."""
    for name in ("celery", "django_tasks"):
        monkeypatch.delitem(sys.modules, f"aa_stripe.contrib.{name}", raising=False)


def test_celery_without_its_package_is_an_error(settings, monkeypatch, fresh_imports):
    monkeypatch.setitem(sys.modules, "celery", None)
    settings.STRIPE_WEBHOOK_PROCESSOR = "celery"

    assert ids() == ["E021"]


def test_charges_for_celery_without_its_package_are_an_error(settings, monkeypatch, fresh_imports):
    monkeypatch.setitem(sys.modules, "celery", None)
    settings.STRIPE_CHARGE_PROCESSOR = "celery"

    assert ids() == ["E027"]


def test_celery_with_its_package_passes(settings):
    pytest.importorskip("celery")
    settings.STRIPE_WEBHOOK_PROCESSOR = "celery"
    settings.STRIPE_CHARGE_PROCESSOR = "celery"

    assert ids() == []


def test_djangos_tasks_without_the_module_are_an_error(settings, monkeypatch, fresh_imports):
    monkeypatch.setitem(sys.modules, "django.tasks", None)
    settings.STRIPE_WEBHOOK_PROCESSOR = "django_tasks"

    assert ids() == ["E021"]


def test_djangos_tasks_pass_if_django_has_the_module(settings):
    settings.STRIPE_WEBHOOK_PROCESSOR = "django_tasks"
    settings.STRIPE_CHARGE_PROCESSOR = "django_tasks"

    assert ids() == ([] if django.VERSION >= (6, 0) else ["E021", "E027"])


@pytest.mark.parametrize(
    "types",
    [
        None,
        [],
        ["charge.refunded"],
        ("charge.dispute.*", "v1.billing.meter.error_report_triggered"),
        {"customer.*"},
        frozenset({"*"}),
    ],
)
def test_types_of_events_pass(settings, types):
    settings.STRIPE_WEBHOOK_EVENT_TYPES = types

    assert ids() == []


@pytest.mark.parametrize(
    "types",
    [
        "charge.refunded",
        {"charge.refunded": True},
        42,
        True,
        [None],
        [""],
        ["charge.refunded", 42],
        ["charge*"],
        ["*.refunded"],
        ["charge refunded"],
        ["Charge.Refunded"],
        ["charge.refunded\n"],
        [["charge.refunded"]],
    ],
)
def test_invalid_types_of_events_are_an_error(settings, types):
    settings.STRIPE_WEBHOOK_EVENT_TYPES = types

    assert ids() == ["E022"]
    assert repr(types) in found()[0].msg


# The API's address and version


@pytest.mark.parametrize(
    "version",
    [
        "2020-08-27",
        "2026-08-26.dahlia",
        "2026-10-28.preview",
        "2026-08-26.dahlia; some_beta=v1; other_beta=v2",
    ],
)
def test_a_valid_api_version_passes(settings, version):
    settings.STRIPE_API_VERSION = version

    assert ids() == []


@pytest.mark.parametrize("version", ["", None, "v1", "dahlia", "2026-8-26", "2026-08-26 ", 2026])
def test_an_invalid_api_version_is_an_error(settings, version):
    settings.STRIPE_API_VERSION = version

    assert ids() == ["E015"]


@pytest.mark.parametrize(
    "base",
    [
        None,
        "",
        "https://api.stripe.com",
        "https://proxy.example/stripe",
        "http://localhost:12111",
        "http://stripe.localhost:12111",
        "http://127.0.0.1:8000",
        "http://127.8.8.8",
        "http://[::1]:8000",
        "HTTPS://api.stripe.com:443",
    ],
)
def test_a_secure_or_local_address_passes(settings, base):
    settings.STRIPE_API_BASE = base

    assert ids() == []


@pytest.mark.parametrize(
    "base",
    [
        "api.stripe.com",
        "ftp://api.stripe.com",
        "https://",
        "https:///v1",
        "http://[::1",
        "https://host:port",
        "https://host:99999",
        "https://api.stripe.com\n",
        "https://api stripe.com",
        b"https://api.stripe.com",
        42,
    ],
)
def test_an_address_that_is_not_an_http_url_is_an_error(settings, base):
    settings.STRIPE_API_BASE = base

    assert ids() == ["E016"]


@pytest.mark.parametrize(
    "base",
    [
        "http://api.stripe.com",
        "http://192.168.0.7:8000",
        "http://0.0.0.0:8000",
        "http://localhost.example",
        "http://127.0.0.1.example",
        "http://localhost@example.com",
        "http://[2001:db8::1]",
    ],
)
def test_an_unencrypted_address_on_the_network_is_an_error(settings, base):
    settings.STRIPE_API_BASE = base

    assert ids() == ["E017"]


@pytest.mark.parametrize(
    "base",
    [
        "https://api.stripe.com/",
        "https://proxy.example/stripe/",
        "https://a.example?",
        "https://a.example#x",
    ],
)
def test_an_address_with_a_trailing_slash_query_or_fragment_is_an_error(settings, base):
    settings.STRIPE_API_BASE = base

    assert ids() == ["E018"]


# The messages


@pytest.mark.parametrize("secret", [SECRET, LIVE_SECRET, "pk_live_doNotShowMe", WEBHOOK_SECRET])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda secret: secret,
        lambda secret: f" {secret}\n",
        lambda secret: f"STRIPE_{secret}",
        lambda secret: secret.encode(),
        lambda secret: [secret, None],
        lambda secret: f"http://user:{secret}@example.com/",
    ],
)
def test_no_message_shows_a_secret_of_any_setting(settings, secret, wrap):
    for name in DEFAULTS:
        setattr(settings, f"STRIPE_{name}", wrap(secret))
    settings.DEBUG = True

    shown = [f"{message} {message.msg} {message.hint} {message.obj}" for message in found()]

    assert len(shown) >= 8
    assert "doNotShowMe" not in "".join(shown)


def test_a_name_that_contains_the_prefix_of_a_secret_is_shown(settings):
    settings.STRIPE_USER_MODEL = "task_manager.Desk_owner"

    assert "task_manager.Desk_owner" in found()[0].msg


def test_a_long_value_is_shortened(settings):
    settings.STRIPE_USER_MODEL = "x" * 1000

    assert len(found()[0].msg) < 200


def test_each_message_has_a_hint(settings):
    for name in DEFAULTS:
        setattr(settings, f"STRIPE_{name}", -1)

    assert len(found()) >= 8
    assert all(message.hint and message.msg.endswith(".") for message in found())


# The documentation of the checks


def ids_in_the_code():
    return set(
        re.findall(
            r"aa_stripe\.[EW]\d{3}(?=\")",
            Path(aa_stripe.checks.__file__).read_text(encoding="utf-8"),
        )
    )


def test_the_ids_do_not_change():
    errors = {f"aa_stripe.E{number:03}" for number in range(1, 33)}
    warnings = {f"aa_stripe.W{number:03}" for number in range(1, 6)}

    assert ids_in_the_code() == errors | warnings


def test_the_settings_page_lists_each_check_and_each_setting():
    page = (ROOT / "docs" / "settings.rst").read_text(encoding="utf-8")

    assert set(re.findall(r"``(aa_stripe\.[EW]\d{3})``", page)) == ids_in_the_code()
    documented = set(re.findall(r"^``([A-Z_]+)``$", page, flags=re.MULTILINE))
    assert documented == {f"STRIPE_{name}" for name in DEFAULTS} | set(UNPREFIXED)


# The checks in a project


def manage(*arguments, **changed):
    """Run ``manage.py`` with changed settings in another process."""
    program = (
        "import json, os, sys\n"
        "import tests.settings as ours\n"
        "vars(ours).update(json.loads(os.environ['CHANGED_SETTINGS']))\n"
        "from django.core.management import execute_from_command_line\n"
        "sys.argv[0] = 'manage.py'\n"
        "execute_from_command_line(sys.argv)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.settings",
            # The checks of a server's backend require its database, which only a test has.
            "TEST_DATABASE": "sqlite",
            "CHANGED_SETTINGS": json.dumps(changed),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


#: Settings with which no payment should be attempted, and the id of each check.
BAD_KEYS = [
    ({"STRIPE_API_KEY": ""}, "E001"),
    ({"STRIPE_API_KEY": "changeme"}, "E003"),
    ({"STRIPE_API_KEY": LIVE_SECRET, "DEBUG": True}, "E004"),
]


@pytest.mark.parametrize(("changed", "check"), BAD_KEYS)
@pytest.mark.parametrize(
    "command",
    [
        ["check"],
        ["migrate", "aa_stripe", "--plan"],
        ["makemigrations", "aa_stripe", "--check", "--dry-run"],
    ],
)
def test_a_bad_key_is_a_warning_for_commands_that_do_not_call_stripe(command, changed, check):
    finished = manage(*command, **changed)

    assert finished.returncode == 0, finished.stderr
    assert f"(aa_stripe.{check})" in finished.stdout + finished.stderr


@pytest.mark.parametrize(("changed", "check"), BAD_KEYS)
@pytest.mark.parametrize(
    "command", [["check", "--deploy"], ["runserver", "--noreload", "0"], ["charge_stripe"]]
)
def test_a_bad_key_stops_what_needs_the_key(command, changed, check):
    finished = manage(*command, ALLOWED_HOSTS=["*"], **changed)

    assert finished.returncode == 1
    assert "ERRORS:" in finished.stderr
    assert finished.stderr.count(f"(aa_stripe.{check})") == 1


# Migrations that a site added to 0.14


def test_a_migration_that_was_added_to_0_14_is_named(monkeypatch):
    iter_modules = aa_stripe.checks.iter_modules
    monkeypatch.setattr(
        aa_stripe.checks,
        "iter_modules",
        lambda path: [*iter_modules(path), (None, "0023_alter_stripecharge_id_and_more", False)],
    )

    assert ids() == ["E019"]
    assert "not part of it: 0023_alter_stripecharge_id_and_more." in found()[0].msg


def test_migrations_of_a_site_in_place_of_ours_are_an_error(settings):
    settings.MIGRATION_MODULES = {"aa_stripe": "site.stripe_migrations"}

    assert ids() == ["E019"]
    assert "site.stripe_migrations" in found()[0].msg


def test_no_migrations_at_all_pass(settings):
    settings.MIGRATION_MODULES = {"aa_stripe": None}

    assert ids() == []


def test_manage_py_check_passes_with_good_settings():
    finished = manage("check", STRIPE_API_KEY=SECRET)

    assert finished.returncode == 0, finished.stderr


def test_manage_py_test_starts_without_a_key():
    finished = manage("test", "aa_stripe", STRIPE_API_KEY="")

    assert "System check identified no issues" in finished.stdout + finished.stderr
    assert "Found 0 test(s)." in finished.stdout + finished.stderr
