"""The site with that app; its Stripe is the fake that a test serves."""

from tests.jobs.served import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.webhooks.busy"]  # noqa: F405
ALLOWED_HOSTS = ["127.0.0.1"]
STRIPE_REQUESTS_PER_SECOND = 1_000_000
