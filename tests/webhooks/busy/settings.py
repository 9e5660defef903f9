"""Settings of a site with the busy app. Its Stripe is the fake that the test serves."""

from tests.jobs.served import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.webhooks.busy"]  # noqa: F405
ALLOWED_HOSTS = ["127.0.0.1"]
STRIPE_REQUESTS_PER_SECOND = 1_000_000
