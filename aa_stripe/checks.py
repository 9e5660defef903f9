"""System checks: what is wrong is told at start-up, not by the first customer.

What a check says never contains a key or a secret, nor the URL that may hold one.
The ids are public (projects silence them) and listed in docs/settings.rst: they never change.
"""

from __future__ import annotations

import ipaddress
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder
from django.utils.module_loading import import_string
from rest_framework.settings import api_settings
from rest_framework.throttling import ScopedRateThrottle

from aa_stripe.currencies import CURRENCIES, RETIRED
from aa_stripe.settings import PROCESSOR_PATHS, PROCESSORS, THROTTLE_SCOPE, stripe_settings
from aa_stripe.webhooks import is_event_type

TAG = "aa_stripe"

#: Requests per second that Stripe allows one account (https://docs.stripe.com/rate-limits).
LIVE_LIMIT = 100
SANDBOX_LIMIT = 25

#: ``pending_if_incomplete`` is for changing a subscription, not for creating one
#: (https://docs.stripe.com/api/subscriptions/create).
PAYMENT_BEHAVIORS = ("allow_incomplete", "default_incomplete", "error_if_incomplete")

# Secret (sk) and restricted (rk) keys; organizations have sk_org_live_... ones.
_SECRET_KEY = re.compile(r"(sk|rk)_[!-~]+")
_ANY_KEY = re.compile(r"(sk|rk|pk)_")
_SECRET_OF_ANY_KIND = re.compile(r"(?<![A-Za-z])(sk|rk|pk|ek|whsec)_")
# 2020-08-27, 2026-08-26.dahlia, and previews: 2026-08-26.preview; feature_beta=v1
_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z_]+)?(; ?\w+=v\d+)*")


@register(TAG)
def check_settings(
    app_configs: Sequence[AppConfig] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Everything that is wrong with the project's Stripe settings."""
    return [message for check in CHECKS for message in check()]


@register(Tags.database)
def check_upgrade(
    app_configs: Sequence[AppConfig] | None = None,
    databases: Sequence[str] | None = None,
    **kwargs: Any,
) -> list[CheckMessage]:
    """Which of ``databases`` 0.14 did not finish. ``migrate`` asks before it does anything.

    Our first migration refuses such a database too. But where a project's own migrations need
    0.14's, Django fails before that one is reached, and its message does not tell what to do.
    """
    return [message for alias in databases or () for message in upgrade_can_begin(alias)]


def upgrade_can_begin(alias: str) -> Iterator[CheckMessage]:
    squashed = "aa_stripe.migrations.0001_squashed_0022_stripecharge_amount_refunded"
    replaced = import_module(squashed).Migration.replaces
    applied = MigrationRecorder(connections[alias]).applied_migrations()
    missing = [name for label, name in replaced if (label, name) not in applied]
    if missing and len(missing) < len(replaced):
        yield Error(
            f"The database {alias!r} was left halfway through the migrations of aa-stripe 0.14. "
            f"Missing: {', '.join(missing)}.",
            hint="Install aa-stripe 0.14 (or 0.13.0) again, run its migrations to the end, then "
            "upgrade.",
            id="aa_stripe.E019",
        )


def api_key_is_a_secret_key() -> Iterator[CheckMessage]:
    key = stripe_settings.API_KEY
    if not key:
        # A project's tests may never come near Stripe, and an error would not let them start.
        if not _is_djangos_test_command():
            yield Error(
                "STRIPE_API_KEY is not set: no call to Stripe can succeed.",
                hint="Copy the secret key (sk_test_... or sk_live_...) from "
                "https://dashboard.stripe.com/apikeys. Where none is at hand on purpose (a build "
                "that runs management commands), put aa_stripe.E001 into SILENCED_SYSTEM_CHECKS.",
                id="aa_stripe.E001",
            )
    elif isinstance(key, str) and key.startswith("pk_"):
        yield Error(
            "STRIPE_API_KEY is a publishable key (pk_...), which is for browsers only.",
            hint="Use the secret key (sk_...) or a restricted key (rk_...) of the same mode.",
            id="aa_stripe.E002",
        )
    elif not isinstance(key, str) or not _SECRET_KEY.fullmatch(key):
        yield Error(
            "STRIPE_API_KEY is not a secret key of Stripe's.",
            hint="Secret keys begin with sk_, restricted ones with rk_ (a webhook secret, whsec_, "
            "is neither), and hold no space or line break.",
            id="aa_stripe.E003",
        )


def live_key_is_not_used_with_debug() -> Iterator[CheckMessage]:
    if settings.DEBUG and _mode() == "live":
        yield Error(
            "STRIPE_API_KEY is a live key, and DEBUG is on: a developer's try-out would take "
            "real money.",
            hint="Use a test key (sk_test_...) here, or set DEBUG = False.",
            id="aa_stripe.E004",
        )


def webhook_secret_is_one() -> Iterator[CheckMessage]:
    secret = stripe_settings.WEBHOOK_ENDPOINT_SECRET
    if not secret:
        yield Warning(
            "STRIPE_WEBHOOK_ENDPOINT_SECRET is not set: every webhook will be refused.",
            hint="Copy the endpoint's signing secret (whsec_...) from "
            "https://dashboard.stripe.com/webhooks.",
            id="aa_stripe.W001",
        )
        return
    secrets = secret if isinstance(secret, (list, tuple)) else [secret]
    if not all(isinstance(each, str) and each for each in secrets):
        yield Error(
            "STRIPE_WEBHOOK_ENDPOINT_SECRET is neither a string nor a list of strings that are "
            "not empty.",
            hint="Give the signing secret; while it is rolled, a list of the old and the new one.",
            id="aa_stripe.E006",
        )
    elif any(_ANY_KEY.match(each) for each in secrets):
        yield Error(
            "STRIPE_WEBHOOK_ENDPOINT_SECRET holds an API key, with which no webhook is signed.",
            hint="Copy the endpoint's signing secret (whsec_...) from "
            "https://dashboard.stripe.com/webhooks.",
            id="aa_stripe.E005",
        )


def user_model_is_installed() -> Iterator[CheckMessage]:
    label = stripe_settings.USER_MODEL
    if not label:
        return
    try:
        apps.get_model(label)
    except (AttributeError, LookupError, TypeError, ValueError):
        yield Error(
            f"STRIPE_USER_MODEL is {_shown(label)}, which is no installed model.",
            hint='Write it as "app_label.Model" and have the app in INSTALLED_APPS, or leave the '
            "setting out to use AUTH_USER_MODEL.",
            id="aa_stripe.E007",
        )


def numbers_make_sense() -> Iterator[CheckMessage]:
    for check_id, name, makes_sense, rule in NUMBERS:
        value = getattr(stripe_settings, name)
        if not makes_sense(value):
            yield Error(
                f"STRIPE_{name} is {_shown(value)}, not {rule}.",
                hint="Leave the setting out to use the default.",
                id=check_id,
            )


def rate_is_within_stripes_limit() -> Iterator[CheckMessage]:
    rate = stripe_settings.REQUESTS_PER_SECOND
    if not _is_positive(rate):
        return
    if _mode() == "test":
        if rate > SANDBOX_LIMIT:
            yield Warning(
                f"STRIPE_REQUESTS_PER_SECOND is {rate}, and the key is a test key: Stripe "
                f"allows {SANDBOX_LIMIT} requests per second in a sandbox and refuses the others.",
                hint=f"Stay below {SANDBOX_LIMIT}, so that web requests have room too.",
                id="aa_stripe.W003",
            )
    elif rate > LIVE_LIMIT:
        yield Warning(
            f"STRIPE_REQUESTS_PER_SECOND is {rate}: Stripe allows an account {LIVE_LIMIT} "
            "requests per second and refuses the others.",
            hint=f"Stay below {LIVE_LIMIT}, so that web requests have room too. Silence this if "
            "Stripe has raised the limit of your account.",
            id="aa_stripe.W002",
        )


def scoped_throttle_has_a_rate() -> Iterator[CheckMessage]:
    throttle_classes: Any = api_settings.DEFAULT_THROTTLE_CLASSES  # imported; typed as written
    for throttle_class in throttle_classes:
        if issubclass(throttle_class, ScopedRateThrottle) and not _has_rate(throttle_class):
            yield Error(
                f"{throttle_class.__name__} is in DEFAULT_THROTTLE_CLASSES, and "
                f'DEFAULT_THROTTLE_RATES["{THROTTLE_SCOPE}"] is missing or no rate: each request '
                "to the Stripe endpoints would end in an error.",
                hint=f'Add {{"{THROTTLE_SCOPE}": "60/min"}} to DEFAULT_THROTTLE_RATES in '
                "REST_FRAMEWORK (None for no limit).",
                id="aa_stripe.E012",
            )
            return


def default_currency_is_stripes() -> Iterator[CheckMessage]:
    currency = stripe_settings.DEFAULT_CURRENCY
    if not isinstance(currency, str) or currency not in CURRENCIES:
        yield Error(
            f"STRIPE_DEFAULT_CURRENCY is {_shown(currency)}, which is no currency of Stripe's.",
            hint='Use a code of three lower-case letters ("usd") that is listed on '
            "https://docs.stripe.com/currencies.",
            id="aa_stripe.E013",
        )
    elif currency in RETIRED:
        yield Warning(
            f"STRIPE_DEFAULT_CURRENCY is {_shown(currency)}, a currency that was replaced.",
            hint="Use its successor; charges and coupons of the past keep theirs.",
            id="aa_stripe.W004",
        )


def subscription_payment_behavior_is_one() -> Iterator[CheckMessage]:
    behavior = stripe_settings.SUBSCRIPTION_PAYMENT_BEHAVIOR
    if behavior not in PAYMENT_BEHAVIORS:
        yield Error(
            f"STRIPE_SUBSCRIPTION_PAYMENT_BEHAVIOR is {_shown(behavior)}, with which Stripe "
            "creates no subscription.",
            hint=f"Use one of {', '.join(PAYMENT_BEHAVIORS)}, or leave the setting out to use the "
            "first.",
            id="aa_stripe.E020",
        )


def payer_from_request_can_be_called() -> Iterator[CheckMessage]:
    path = stripe_settings.PAYER_FROM_REQUEST
    if not path:
        return
    if not _names_a_callable(path):
        yield Error(
            f"STRIPE_PAYER_FROM_REQUEST is {_shown(path)}, which names no function.",
            hint="Give the dotted path of a function that takes the request and returns the payer, "
            "or leave the setting out to use request.user.",
            id="aa_stripe.E014",
        )


def api_version_is_one() -> Iterator[CheckMessage]:
    version = stripe_settings.API_VERSION
    if not isinstance(version, str) or not _API_VERSION.fullmatch(version):
        yield Error(
            f"STRIPE_API_VERSION is {_shown(version)}, which is not how Stripe names a version.",
            hint="Leave the setting out to use the version this package is made for. Others look "
            'like "2026-08-26.dahlia".',
            id="aa_stripe.E015",
        )


def api_base_is_safe_to_send_a_key_to() -> Iterator[CheckMessage]:
    base = stripe_settings.API_BASE
    if not base:
        return
    url = _split_url(base)
    if url is None:
        yield Error(
            "STRIPE_API_BASE is not the URL of a server.",
            hint='Write it like "https://api.stripe.com", or leave the setting out for Stripe.',
            id="aa_stripe.E016",
        )
        return
    if url.scheme == "http" and not _is_this_machine(url.hostname or ""):
        yield Error(
            "STRIPE_API_BASE is an http URL of another machine: the secret key would cross the "
            "network in the clear.",
            hint="Use https, or a server on this machine.",
            id="aa_stripe.E017",
        )
    if base.endswith("/") or "?" in base or "#" in base:
        yield Error(
            "STRIPE_API_BASE ends with a slash, a query or a fragment: Stripe's paths, which begin "
            "with /v1/, are appended to it.",
            hint="Remove what follows the host (or the path, without its last slash).",
            id="aa_stripe.E018",
        )


def webhook_processor_can_be_called() -> Iterator[CheckMessage]:
    named = stripe_settings.WEBHOOK_PROCESSOR
    if named in PROCESSORS or callable(named):
        return
    path = PROCESSOR_PATHS.get(named, named) if isinstance(named, str) else named
    if not _names_a_callable(path):
        yield Error(
            f"STRIPE_WEBHOOK_PROCESSOR is {_shown(named)}, which names nothing that could apply "
            "an event.",
            hint='Use "inline", "deferred" (with process_webhooks in cron), "celery" (needs the '
            'package), "django_tasks" (needs Django 6.0), or the dotted path of a function that '
            "takes an event's id.",
            id="aa_stripe.E021",
        )


def webhook_event_types_are_some() -> Iterator[CheckMessage]:
    types = stripe_settings.WEBHOOK_EVENT_TYPES
    if types is None:
        return
    if not isinstance(types, (list, tuple, set, frozenset)) or not all(
        isinstance(each, str) and is_event_type(each) for each in types
    ):
        yield Error(
            f"STRIPE_WEBHOOK_EVENT_TYPES is {_shown(types)}, not a list of types of events.",
            hint='Give the types that your endpoint is subscribed to ("charge.refunded", '
            '"customer.*"), or leave the setting out for all.',
            id="aa_stripe.E022",
        )


CHECKS: tuple[Callable[[], Iterator[CheckMessage]], ...] = (
    api_key_is_a_secret_key,
    live_key_is_not_used_with_debug,
    webhook_secret_is_one,
    user_model_is_installed,
    numbers_make_sense,
    rate_is_within_stripes_limit,
    scoped_throttle_has_a_rate,
    default_currency_is_stripes,
    subscription_payment_behavior_is_one,
    payer_from_request_can_be_called,
    api_version_is_one,
    api_base_is_safe_to_send_a_key_to,
    webhook_processor_can_be_called,
    webhook_event_types_are_some,
)


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


NUMBERS: tuple[tuple[str, str, Callable[[Any], bool], str], ...] = (
    ("aa_stripe.E008", "REQUESTS_PER_SECOND", _is_positive, "a number above 0"),
    ("aa_stripe.E009", "TIMEOUT", _is_positive, "a number of seconds above 0"),
    (
        "aa_stripe.E010",
        "MAX_NETWORK_RETRIES",
        lambda value: _is_whole(value) and value <= 10,
        "a whole number from 0 to 10",
    ),
    (
        "aa_stripe.E011",
        "PENDING_WEBHOOKS_THRESHOLD",
        _is_whole,
        "a whole number of at least 0",
    ),
)


def _mode() -> str | None:
    """``"live"`` or ``"test"``, as the API key says; ``None`` when it does not say."""
    named = re.match(r"(?:sk|rk)_(?:org_)?(live|test)_", str(stripe_settings.API_KEY))
    return named[1] if named else None


def _is_djangos_test_command() -> bool:
    return sys.argv[1:2] == ["test"]


def _has_rate(throttle_class: type[ScopedRateThrottle]) -> bool:
    """Whether the throttle will find a rate for our views, asked the way it asks itself."""
    throttle = throttle_class()
    throttle.scope = THROTTLE_SCOPE
    try:
        throttle.parse_rate(throttle.get_rate())
    except (ImproperlyConfigured, AttributeError, LookupError, TypeError, ValueError):
        return False
    return True


def _names_a_callable(path: object) -> bool:
    if not isinstance(path, str):
        return False
    try:
        return callable(import_string(path))
    except ImportError:
        return False


def _split_url(base: object) -> SplitResult | None:
    """The parts of ``base`` if it is an http or https URL with a host, else ``None``."""
    if not isinstance(base, str) or re.search(r"\s", base):
        return None
    try:
        url = urlsplit(base)
        is_server = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:  # brackets that do not match, a port that is no number
        return None
    return url if is_server else None


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _shown(value: object) -> str:
    """``value`` for a message; a secret that was put into the wrong setting stays unsaid."""
    text = repr(value)
    if _SECRET_OF_ANY_KIND.search(text):
        return "a key or a secret"
    return text if len(text) <= 60 else f"{text[:57]}..."
