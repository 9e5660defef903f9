"""Settings of a site with ``ATOMIC_REQUESTS`` that allows payments in transactions."""

from tests.matrix.settings_atomic import *  # noqa: F403

STRIPE_TRANSACTIONS = "allow"
