"""Settings of a process that uses the fake Stripe served by a test at ``SERVED_STRIPE``."""

import os

from tests.settings import *  # noqa: F403

STRIPE_API_BASE = os.environ["SERVED_STRIPE"]
