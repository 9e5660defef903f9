"""The app's settings: a table of defaults, and one lookup."""

from __future__ import annotations

from typing import Any

from django.conf import settings

#: What each ``STRIPE_<NAME>`` setting is when a project leaves it out.
DEFAULTS: dict[str, Any] = {
    "API_KEY": "",
    "API_BASE": None,
    "API_VERSION": "2026-08-26.dahlia",
    "DEFAULT_CURRENCY": "usd",
    "MAX_NETWORK_RETRIES": 2,
    "PAYER_FROM_REQUEST": None,
    "PENDING_WEBHOOKS_THRESHOLD": 20,
    "REQUESTS_PER_SECOND": 20,
    "SUBSCRIPTION_PAYMENT_BEHAVIOR": "allow_incomplete",
    "TIMEOUT": 80,
    "USER_MODEL": None,
    "WEBHOOK_ENDPOINT_SECRET": "",
    "WEBHOOK_EVENT_TYPES": None,
    "WEBHOOK_PROCESSOR": "inline",
}

#: Settings that 0.14 read without the ``STRIPE_`` prefix.
UNPREFIXED: dict[str, Any] = {
    "ENV_PREFIX": None,
    "PAYMENT_ORIGIN": None,
}


#: What ``STRIPE_WEBHOOK_PROCESSOR`` may be besides a function or its path. An event is applied
#: before its delivery is answered, by the command ``process_webhooks``, or by a queue's worker.
INLINE = "inline"
DEFERRED = "deferred"
PROCESSORS = (INLINE, DEFERRED)
PROCESSOR_PATHS = {
    "celery": "aa_stripe.contrib.celery.enqueue",
    "django_tasks": "aa_stripe.contrib.django_tasks.enqueue",
}


#: The ``throttle_scope`` of our views.
THROTTLE_SCOPE = "stripe"


class StripeSettings:
    """``stripe_settings.API_KEY`` is ``settings.STRIPE_API_KEY``, looked up on each use.

    An assigned attribute wins over the project's setting until it is deleted again.
    """

    def __getattr__(self, name: str) -> Any:
        if name in UNPREFIXED:
            return getattr(settings, name, UNPREFIXED[name])
        if name not in DEFAULTS:
            raise AttributeError(f"Unknown Stripe setting: {name}")
        return getattr(settings, f"STRIPE_{name}", DEFAULTS[name])

    @property
    def user_model(self) -> str:
        """The label of the model that customers and charges belong to."""
        label: str = self.USER_MODEL or settings.AUTH_USER_MODEL
        return label


stripe_settings = StripeSettings()


def default_currency() -> str:
    """``STRIPE_DEFAULT_CURRENCY`` of this moment.

    The default of a model's field. It stands here because the migrations name it, and they
    import no models.
    """
    currency: str = stripe_settings.DEFAULT_CURRENCY
    return currency


def __getattr__(name: str) -> Any:
    # 0.14 offered this name in this module; looked up when used, never at import.
    if name == "PAYMENT_ORIGIN":
        return stripe_settings.PAYMENT_ORIGIN
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
