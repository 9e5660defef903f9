"""Settings of a process whose Stripe is the fake that a test serves at ``SERVED_STRIPE``."""

import os

from tests.settings import *  # noqa: F403

STRIPE_API_BASE = os.environ["SERVED_STRIPE"]
