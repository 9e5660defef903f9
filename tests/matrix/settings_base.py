"""Settings of an ordinary site. Its database is created by the process that uses it."""

from tests.settings import *  # noqa: F403
from tests.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.matrix.accounts"]
ROOT_URLCONF = "tests.matrix.urls"
STRIPE_REQUESTS_PER_SECOND = 1_000_000
SILENCED_SYSTEM_CHECKS = ["aa_stripe.W002", "aa_stripe.W003"]
