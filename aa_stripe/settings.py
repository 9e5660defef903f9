"""The app's settings: a table of defaults and one lookup."""

from __future__ import annotations

from typing import Any

from django.conf import settings

#: The defaults of the ``STRIPE_<NAME>`` settings.
DEFAULTS: dict[str, Any] = {
    "ACCEPT_UNBOUND_CARDS": None,
    "API_KEY": "",
    "API_BASE": None,
    "API_VERSION": "2026-08-26.dahlia",
    "CHARGE_PROCESSOR": "cron",
    "CLAIM_LEASE": 300,
    "CUSTOMER_DATA": None,
    "DEFAULT_CURRENCY": "usd",
    "MAX_NETWORK_RETRIES": 2,
    "PAYER_FROM_REQUEST": None,
    "PENDING_WEBHOOKS_THRESHOLD": 20,
    "RATE_LIMIT_URL": None,
    "REQUESTS_PER_SECOND": 20,
    "SUBSCRIPTION_HAS_ACCESS": None,
    "SUBSCRIPTION_PAYMENT_BEHAVIOR": "allow_incomplete",
    "TIMEOUT": 80,
    "TRANSACTIONS": "forbid",
    "USER_MODEL": None,
    "WEBHOOK_ENDPOINT_SECRET": "",
    "WEBHOOK_EVENT_TYPES": None,
    "WEBHOOK_HANDLER_TIMEOUT": 300,
    "WEBHOOK_PROCESSOR": "inline",
}

#: The defaults of the settings without the ``STRIPE_`` prefix, as in 0.14.
UNPREFIXED: dict[str, Any] = {
    "ENV_PREFIX": None,
    "PAYMENT_ORIGIN": None,
}


#: The values of ``STRIPE_TRANSACTIONS``: whether a payment may be requested in a transaction.
FORBID = "forbid"
ALLOW = "allow"


#: The ``throttle_scope`` of our views.
THROTTLE_SCOPE = "stripe"


class StripeSettings:
    """A lookup of settings: ``stripe_settings.API_KEY`` is ``settings.STRIPE_API_KEY``.

    Each use reads the setting again. An assigned attribute overrides the project's setting until
    it is deleted.
    """

    def __getattr__(self, name: str) -> Any:
        if name in UNPREFIXED:
            return getattr(settings, name, UNPREFIXED[name])
        if name not in DEFAULTS:
            raise AttributeError(f"Unknown Stripe setting: {name}")
        value = getattr(settings, f"STRIPE_{name}", DEFAULTS[name])
        return settings.AUTH_USER_MODEL if name == "USER_MODEL" and not value else value

    @property
    def user_model(self) -> str:
        """Return the label of the model that customers and charges belong to."""
        label: str = self.USER_MODEL or settings.AUTH_USER_MODEL
        return label

    @property
    def claim_lease(self) -> float:
        """Return how long a process may work on a row, in seconds.

        At least the time of one request: each of connecting and reading may take the timeout.
        """
        lease: float = max(self.CLAIM_LEASE, 3 * self.TIMEOUT)
        return lease


stripe_settings = StripeSettings()


def default_currency() -> str:
    """Return ``STRIPE_DEFAULT_CURRENCY``, as the default of a model field.

    It is defined here because migrations import it, and they import no models.
    """
    currency: str = stripe_settings.DEFAULT_CURRENCY
    return currency


def __getattr__(name: str) -> Any:
    # 0.14 had this name in this module; it is looked up on use, never at import.
    if name == "PAYMENT_ORIGIN":
        return stripe_settings.PAYMENT_ORIGIN
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
