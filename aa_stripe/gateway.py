"""The one door to Stripe: how it is called. What is said to it, the models decide."""

from __future__ import annotations

import stripe

#: Every call goes through this client of the SDK's when it is set (by ``aa_stripe.testing``).
http_client: stripe.HTTPClient | None = None


def configure_sdk() -> None:
    """Let a project's own ``stripe.Customer.create(...)`` work, unless it has set up the SDK."""
