"""Settings of the processes; the database is chosen as for the tests, see ``tests.settings``."""

from __future__ import annotations

import os

from tests.settings import DATABASES as DATABASES

SECRET_KEY = "only for the chaos"
USE_TZ = True
ROOT_URLCONF = "aa_stripe.api_urls"
ALLOWED_HOSTS = ["127.0.0.1"]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "aa_stripe",
    "chaos",
]

# The tables are made from the models, at once.
MIGRATION_MODULES = {"auth": None, "contenttypes": None, "aa_stripe": None}

DATABASES["default"]["CONN_MAX_AGE"] = None

STRIPE_API_KEY = "sk_test_0"
STRIPE_WEBHOOK_ENDPOINT_SECRET = "whsec_chaos"
STRIPE_REQUESTS_PER_SECOND = 1_000_000
STRIPE_MAX_NETWORK_RETRIES = 1
STRIPE_TIMEOUT = 2
STRIPE_CLAIM_LEASE = 6.5
STRIPE_WEBHOOK_HANDLER_TIMEOUT = 6.5

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(process)d %(name)s %(message)s"}},
    "handlers": {
        "file": {
            "class": "logging.FileHandler",
            "filename": os.environ.get("CHAOS_LOG", os.devnull),
            "formatter": "line",
        }
    },
    "root": {"handlers": ["file"], "level": "WARNING"},
}
