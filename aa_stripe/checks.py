"""System checks of the project's settings, run at start-up.

No message contains a key, a secret, or a URL that may contain one. The ids are public (projects
silence them) and listed in docs/settings.rst, so they never change.
"""

from __future__ import annotations

import ipaddress
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Any
from urllib.parse import SplitResult, urlsplit

from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import CheckMessage, Error, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db.migrations.loader import MigrationLoader
from django.urls import get_resolver
from django.utils.module_loading import import_string
from rest_framework.settings import api_settings
from rest_framework.throttling import ScopedRateThrottle

from aa_stripe.currencies import CURRENCIES, RETIRED
from aa_stripe.processors import CHARGES, EVENTS, ProcessorSetting
from aa_stripe.settings import ALLOW, FORBID, THROTTLE_SCOPE, stripe_settings
from aa_stripe.webhooks import is_event_type

TAG = "aa_stripe"

OUR_FIRST_MIGRATION = "0023_check_upgrade"

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
    """Return a message for each error in the project's Stripe settings."""
    return [message for check in CHECKS for message in check()]


#: Whether a command that calls Stripe runs the checks.
_key_is_needed: ContextVar[bool] = ContextVar("_key_is_needed", default=False)


@contextmanager
def key_needed() -> Iterator[None]:
    """Make a missing or dangerous API key an error for the checks that run in the block."""
    token = _key_is_needed.set(True)
    try:
        yield
    finally:
        _key_is_needed.reset(token)


def _about_the_key(message: str, hint: str, check_id: str) -> CheckMessage:
    """Return an error where the key matters, a warning for ``migrate`` and other commands."""
    is_error = _key_is_needed.get() or _is_server() or "--deploy" in sys.argv
    return (Error if is_error else Warning)(message, hint=hint, id=check_id)


def api_key_is_a_secret_key() -> Iterator[CheckMessage]:
    key = stripe_settings.API_KEY
    if not key:
        # A project's tests may not use Stripe, and an error would stop them.
        if not _is_djangos_test_command():
            yield _about_the_key(
                "STRIPE_API_KEY is not set, so every request to Stripe will fail.",
                "Copy the secret key (sk_test_... or sk_live_...) from "
                "https://dashboard.stripe.com/apikeys. If there is no key on purpose (a build that "
                "runs management commands), add aa_stripe.E001 to SILENCED_SYSTEM_CHECKS.",
                "aa_stripe.E001",
            )
    elif isinstance(key, str) and key.startswith("pk_"):
        yield Error(
            "STRIPE_API_KEY is a publishable key (pk_...), which is only for browsers.",
            hint="Use the secret key (sk_...) or a restricted key (rk_...) of the same mode.",
            id="aa_stripe.E002",
        )
    elif not isinstance(key, str) or not _SECRET_KEY.fullmatch(key):
        yield _about_the_key(
            "STRIPE_API_KEY is not a Stripe secret key.",
            "Secret keys begin with sk_, restricted keys with rk_; neither contains spaces or "
            "line breaks. A webhook secret (whsec_...) is not an API key.",
            "aa_stripe.E003",
        )


def live_key_is_not_used_with_debug() -> Iterator[CheckMessage]:
    if settings.DEBUG and _mode() == "live":
        yield _about_the_key(
            "STRIPE_API_KEY is a live key and DEBUG is on, so a charge made during development "
            "would collect real money.",
            "Use a test key (sk_test_...), or set DEBUG = False.",
            "aa_stripe.E004",
        )


def webhook_secret_is_valid() -> Iterator[CheckMessage]:
    secret = stripe_settings.WEBHOOK_ENDPOINT_SECRET
    if not secret:
        yield Warning(
            "STRIPE_WEBHOOK_ENDPOINT_SECRET is not set, so every webhook will be rejected.",
            hint="Copy the endpoint's signing secret (whsec_...) from "
            "https://dashboard.stripe.com/webhooks.",
            id="aa_stripe.W001",
        )
        return
    secrets = secret if isinstance(secret, (list, tuple)) else [secret]
    if not all(isinstance(each, str) and each for each in secrets):
        yield Error(
            "STRIPE_WEBHOOK_ENDPOINT_SECRET must be a non-empty string or a list of them.",
            hint="Set it to the signing secret, or while rolling it to a list of the old and the "
            "new one.",
            id="aa_stripe.E006",
        )
    elif any(_ANY_KEY.match(each) for each in secrets):
        yield Error(
            "STRIPE_WEBHOOK_ENDPOINT_SECRET contains an API key, which does not sign webhooks.",
            hint="Copy the endpoint's signing secret (whsec_...) from "
            "https://dashboard.stripe.com/webhooks.",
            id="aa_stripe.E005",
        )
    elif any(each != each.strip() or "," in each for each in secrets):
        yield Error(
            "STRIPE_WEBHOOK_ENDPOINT_SECRET contains a secret with spaces around it, or several "
            "in one string. Nothing that Stripe signs would be accepted.",
            hint="Remove the spaces and line breaks; list several secrets: [NEW, OLD].",
            id="aa_stripe.E028",
        )


def user_model_is_installed() -> Iterator[CheckMessage]:
    label = stripe_settings.USER_MODEL
    if not label:
        return
    try:
        apps.get_model(label)
    except (AttributeError, LookupError, TypeError, ValueError):
        yield Error(
            f"STRIPE_USER_MODEL is {_shown(label)}, which is not an installed model.",
            hint='Set it to "app_label.Model" of an app in INSTALLED_APPS, or remove the setting '
            "to use AUTH_USER_MODEL.",
            id="aa_stripe.E007",
        )


def numbers_are_in_range() -> Iterator[CheckMessage]:
    for check_id, name, is_in_range, rule in NUMBERS:
        value = getattr(stripe_settings, name)
        if not is_in_range(value):
            yield Error(
                f"STRIPE_{name} must be {rule} (got {_shown(value)}).",
                hint="Remove the setting to use the default.",
                id=check_id,
            )


def rate_is_within_stripes_limit() -> Iterator[CheckMessage]:
    rate = stripe_settings.REQUESTS_PER_SECOND
    if not _is_positive(rate):
        return
    if _mode() == "test":
        if rate > SANDBOX_LIMIT:
            yield Warning(
                f"STRIPE_REQUESTS_PER_SECOND is {rate} and STRIPE_API_KEY is a test key, but "
                f"Stripe allows only {SANDBOX_LIMIT} requests per second in a sandbox.",
                hint=f"Use less than {SANDBOX_LIMIT}, because web requests count too.",
                id="aa_stripe.W003",
            )
    elif rate > LIVE_LIMIT:
        yield Warning(
            f"STRIPE_REQUESTS_PER_SECOND is {rate}, but Stripe allows an account only {LIVE_LIMIT} "
            "requests per second.",
            hint=f"Use less than {LIVE_LIMIT}, because web requests count too. Silence this check "
            "if Stripe has raised the limit of your account.",
            id="aa_stripe.W002",
        )


def rate_limit_url_is_usable() -> Iterator[CheckMessage]:
    url = stripe_settings.RATE_LIMIT_URL
    if not url:
        return
    if _split_url(url, "redis", "rediss") is None:
        yield Error(
            "STRIPE_RATE_LIMIT_URL is not the URL of a Redis server.",
            hint='Use a URL like "redis://127.0.0.1:6379/0" ("rediss://..." with TLS), or remove '
            "the setting: each process then has its own rate.",
            id="aa_stripe.E025",
        )
    elif not (find_spec("limits") and find_spec("redis")):
        yield Error(
            "STRIPE_RATE_LIMIT_URL is set, but the package limits or redis is not installed.",
            hint='Run pip install "aa-stripe[redis]".',
            id="aa_stripe.E026",
        )


def scoped_throttle_has_a_rate() -> Iterator[CheckMessage]:
    throttle_classes: Any = api_settings.DEFAULT_THROTTLE_CLASSES  # classes, not paths
    for throttle_class in throttle_classes:
        if issubclass(throttle_class, ScopedRateThrottle) and not _has_rate(throttle_class):
            yield Error(
                f"{throttle_class.__name__} is in DEFAULT_THROTTLE_CLASSES, but "
                f'DEFAULT_THROTTLE_RATES["{THROTTLE_SCOPE}"] is missing or invalid, so every '
                "request to the Stripe endpoints would fail.",
                hint=f'Add {{"{THROTTLE_SCOPE}": "60/min"}} to DEFAULT_THROTTLE_RATES in '
                "REST_FRAMEWORK (None for no limit).",
                id="aa_stripe.E012",
            )
            return


def default_currency_is_supported() -> Iterator[CheckMessage]:
    currency = stripe_settings.DEFAULT_CURRENCY
    if not isinstance(currency, str) or currency not in CURRENCIES:
        yield Error(
            f"STRIPE_DEFAULT_CURRENCY is {_shown(currency)}, which Stripe does not support.",
            hint="Use a code of https://docs.stripe.com/currencies in lower case, for example "
            '"usd".',
            id="aa_stripe.E013",
        )
    elif currency in RETIRED:
        yield Warning(
            f"STRIPE_DEFAULT_CURRENCY is {_shown(currency)}, which another currency has replaced.",
            hint="Use its successor; existing charges and coupons keep their currency.",
            id="aa_stripe.W004",
        )


def subscription_payment_behavior_is_valid() -> Iterator[CheckMessage]:
    behavior = stripe_settings.SUBSCRIPTION_PAYMENT_BEHAVIOR
    if behavior not in PAYMENT_BEHAVIORS:
        yield Error(
            f"STRIPE_SUBSCRIPTION_PAYMENT_BEHAVIOR is {_shown(behavior)}, which Stripe does not "
            "accept for a new subscription.",
            hint=f"Use one of {', '.join(PAYMENT_BEHAVIORS)}, or remove the setting to use the "
            "first.",
            id="aa_stripe.E020",
        )


def subscription_has_access_can_be_called() -> Iterator[CheckMessage]:
    yield from _function_can_be_called(
        "SUBSCRIPTION_HAS_ACCESS",
        "Set it to the dotted path of a function that takes a StripeSubscription and "
        "returns whether its user has access, or remove the setting to use is_current.",
        "aa_stripe.E030",
    )


def transactions_setting_is_valid() -> Iterator[CheckMessage]:
    transactions = stripe_settings.TRANSACTIONS
    if transactions not in (FORBID, ALLOW):
        yield Error(
            f"STRIPE_TRANSACTIONS is {_shown(transactions)}.",
            hint=f'Use "{ALLOW}", or remove the setting to use "{FORBID}".',
            id="aa_stripe.E023",
        )


def payer_from_request_can_be_called() -> Iterator[CheckMessage]:
    yield from _function_can_be_called(
        "PAYER_FROM_REQUEST",
        "Set it to the dotted path of a function that takes the request and returns the "
        "payer, or remove the setting to use request.user.",
        "aa_stripe.E014",
    )


def customer_data_can_be_called() -> Iterator[CheckMessage]:
    yield from _function_can_be_called(
        "CUSTOMER_DATA",
        "Set it to the dotted path of a function that takes a user and returns the "
        "parameters of Stripe's customer, or remove the setting to send the e-mail address and "
        "the name.",
        "aa_stripe.E031",
    )


def _function_can_be_called(name: str, hint: str, check_id: str) -> Iterator[CheckMessage]:
    path = getattr(stripe_settings, name)
    if path and not _names_a_callable(path):
        yield Error(
            f"STRIPE_{name} is {_shown(path)}, which is not the path of a function.",
            hint=hint,
            id=check_id,
        )


def payer_is_a_row_of_the_user_model() -> Iterator[CheckMessage]:
    if stripe_settings.PAYER_FROM_REQUEST or not _is_payer_another_model():
        return
    patterns = get_resolver().url_patterns if getattr(settings, "ROOT_URLCONF", None) else ()
    views = sorted({it.__name__ for it in _views_of(patterns) if _needs(it)})
    if views:
        yield Warning(
            f"STRIPE_USER_MODEL is {_shown(stripe_settings.USER_MODEL)} and "
            "STRIPE_PAYER_FROM_REQUEST is not set, so every request to these views would fail, "
            f"unless request.user is one: {', '.join(views)}.",
            hint="Set STRIPE_PAYER_FROM_REQUEST to the dotted path of a function that takes the "
            "request and returns the payer.",
            id="aa_stripe.W005",
        )


def _is_payer_another_model() -> bool:
    """Return whether customers belong to an installed model that is not the user's."""
    try:
        return apps.get_model(stripe_settings.user_model) is not get_user_model()
    except (AttributeError, LookupError, TypeError, ValueError, ImproperlyConfigured):
        return False  # another check reports it


def _views_of(patterns: Iterable[Any]) -> Iterator[Any]:
    """Yield the classes of REST framework's views."""
    for pattern in patterns:
        yield from _views_of(getattr(pattern, "url_patterns", ()))
        view = getattr(getattr(pattern, "callback", None), "cls", None)
        if view is not None:
            yield view


def _needs(view: Any) -> bool:
    """Return whether it is one of our views, or derived from one, that needs the payer."""
    return hasattr(view, "needs_payer") and view.needs_payer()


def unbound_cards_setting_is_valid() -> Iterator[CheckMessage]:
    accepted = stripe_settings.ACCEPT_UNBOUND_CARDS
    if accepted is not None and not isinstance(accepted, bool):
        yield Error(
            f"STRIPE_ACCEPT_UNBOUND_CARDS is {_shown(accepted)}.",
            hint="Use True or False, or remove the setting to use None.",
            id="aa_stripe.E032",
        )


def api_version_is_valid() -> Iterator[CheckMessage]:
    version = stripe_settings.API_VERSION
    if not isinstance(version, str) or not _API_VERSION.fullmatch(version):
        yield Error(
            f"STRIPE_API_VERSION is {_shown(version)}, which is not a version of Stripe's API.",
            hint="Remove the setting to use the version that this package supports. Other versions "
            'look like "2026-08-26.dahlia".',
            id="aa_stripe.E015",
        )


def api_base_is_safe_to_send_a_key_to() -> Iterator[CheckMessage]:
    base = stripe_settings.API_BASE
    if not base:
        return
    url = _split_url(base, "http", "https")
    if url is None:
        yield Error(
            "STRIPE_API_BASE is not an http or https URL.",
            hint='Use a URL like "https://api.stripe.com", or remove the setting to use Stripe.',
            id="aa_stripe.E016",
        )
        return
    if url.scheme == "http" and not _is_this_machine(url.hostname or ""):
        yield Error(
            "STRIPE_API_BASE is an http URL of another machine, so the secret key would be sent "
            "unencrypted.",
            hint="Use https, or a server on this machine.",
            id="aa_stripe.E017",
        )
    if base.endswith("/") or "?" in base or "#" in base:
        yield Error(
            "STRIPE_API_BASE must not end with a slash, a query or a fragment, because paths that "
            "begin with /v1/ are appended to it.",
            hint="Remove the slash at the end, the query and the fragment.",
            id="aa_stripe.E018",
        )


def webhook_processor_can_be_called() -> Iterator[CheckMessage]:
    if not _can_be_called(EVENTS):
        yield Error(
            f"STRIPE_WEBHOOK_PROCESSOR is {_shown(EVENTS.value())}, which is not a processor.",
            hint='Use "inline", "deferred" (with process_webhooks in cron), "celery" (needs the '
            'package), "django_tasks" (needs Django 6.0), or the dotted path of a function that '
            "takes an event's id.",
            id="aa_stripe.E021",
        )


def charge_processor_can_be_called() -> Iterator[CheckMessage]:
    if not _can_be_called(CHARGES):
        yield Error(
            f"STRIPE_CHARGE_PROCESSOR is {_shown(CHARGES.value())}, which is not a processor.",
            hint='Use "cron" (with charge_stripe in cron), "celery" (needs the package), '
            '"django_tasks" (needs Django 6.0), or the dotted path of a function that takes a '
            "charge's primary key.",
            id="aa_stripe.E027",
        )


def _can_be_called(setting: ProcessorSetting) -> bool:
    """Return whether the setting names a function, or needs none."""
    value: object = setting.value()
    if isinstance(value, str):
        return value in setting.words or _names_a_callable(setting.path(value))
    return callable(value)


def webhook_event_types_are_valid() -> Iterator[CheckMessage]:
    types = stripe_settings.WEBHOOK_EVENT_TYPES
    if types is None:
        return
    if not isinstance(types, (list, tuple, set, frozenset)) or not all(
        isinstance(each, str) and is_event_type(each) for each in types
    ):
        yield Error(
            f"STRIPE_WEBHOOK_EVENT_TYPES must be a list of event types (got {_shown(types)}).",
            hint='List the types that your endpoint is subscribed to ("charge.refunded", '
            '"customer.*"), or remove the setting for all.',
            id="aa_stripe.E022",
        )


def migrations_are_ours() -> Iterator[CheckMessage]:
    """Find migrations of the site, made by ``makemigrations`` while 0.14 was installed."""
    module, is_set = MigrationLoader.migrations_module("aa_stripe")
    if is_set:
        if module is not None:  # None is common in tests: the tables are made from the models
            yield Error(
                f'MIGRATION_MODULES["aa_stripe"] is {_shown(module)}, so the migrations of this '
                "package would not be applied.",
                hint="Remove the entry. The migrations of 0.14 that are recorded stay recorded.",
                id="aa_stripe.E019",
            )
        return
    # 0.14 ended with 0022, so a migration that was added to it has the number of our first one.
    added = [
        name
        for _, name, _ in iter_modules(import_module(str(module)).__path__)
        if name.startswith("0023_") and name != OUR_FIRST_MIGRATION
    ]
    if added:
        yield Error(
            f"The installed package contains migrations that are not part of it: "
            f"{', '.join(added)}. makemigrations added them to aa-stripe 0.14.",
            hint="Delete these files, and those that depend on them, from the directory "
            "aa_stripe/migrations; the database keeps their changes. See the page "
            '"Upgrading" about ids of 64 bits.',
            id="aa_stripe.E019",
        )


CHECKS: tuple[Callable[[], Iterator[CheckMessage]], ...] = (
    api_key_is_a_secret_key,
    live_key_is_not_used_with_debug,
    webhook_secret_is_valid,
    user_model_is_installed,
    numbers_are_in_range,
    rate_is_within_stripes_limit,
    rate_limit_url_is_usable,
    scoped_throttle_has_a_rate,
    default_currency_is_supported,
    subscription_payment_behavior_is_valid,
    subscription_has_access_can_be_called,
    transactions_setting_is_valid,
    payer_from_request_can_be_called,
    customer_data_can_be_called,
    payer_is_a_row_of_the_user_model,
    unbound_cards_setting_is_valid,
    api_version_is_valid,
    api_base_is_safe_to_send_a_key_to,
    webhook_processor_can_be_called,
    charge_processor_can_be_called,
    webhook_event_types_are_valid,
    migrations_are_ours,
)


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


NUMBERS: tuple[tuple[str, str, Callable[[Any], bool], str], ...] = (
    ("aa_stripe.E008", "REQUESTS_PER_SECOND", _is_positive, "a number greater than 0"),
    ("aa_stripe.E009", "TIMEOUT", _is_positive, "a number of seconds greater than 0"),
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
    ("aa_stripe.E024", "CLAIM_LEASE", _is_positive, "a number of seconds greater than 0"),
    (
        "aa_stripe.E029",
        "WEBHOOK_HANDLER_TIMEOUT",
        _is_positive,
        "a number of seconds greater than 0",
    ),
)


def _mode() -> str | None:
    """Return the API key's mode, ``"live"`` or ``"test"``; ``None`` if the key does not name it."""
    named = re.match(r"(?:sk|rk)_(?:org_)?(live|test)_", str(stripe_settings.API_KEY))
    return named[1] if named else None


def _is_djangos_test_command() -> bool:
    return sys.argv[1:2] == ["test"]


def _is_server() -> bool:
    return sys.argv[1:2] in (["runserver"], ["runserver_plus"])


def _has_rate(throttle_class: type[ScopedRateThrottle]) -> bool:
    """Return whether the throttle can find and parse the rate of our views."""
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
    except Exception:  # noqa: BLE001 (a module may raise anything when it is imported)
        return False


def _split_url(base: object, *schemes: str) -> SplitResult | None:
    """Return the parts of a URL of these schemes with a host, ``None`` for anything else."""
    if not isinstance(base, str) or re.search(r"\s", base):
        return None
    try:
        url = urlsplit(base)
        is_server = url.scheme in schemes and bool(url.hostname) and url.port != 0
    except ValueError:  # unbalanced brackets, or a port that is not a number
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
    """Return ``value`` for a message, without a secret that was put into the wrong setting."""
    text = repr(value)
    if _SECRET_OF_ANY_KIND.search(text):
        return "a key or a secret"
    return text if len(text) <= 60 else f"{text[:57]}..."
