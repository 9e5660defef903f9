"""Settings of the site with dj-stripe, as its documentation installs it.

https://dj-stripe.dev/docs/latest/installation
"""

import os

from bench.settings import DATABASES, SECRET_KEY, USE_TZ

__all__ = ["DATABASES", "SECRET_KEY", "USE_TZ"]

#: The part of the endpoint's URL that cannot be guessed.
ENDPOINT_UUID = "7f2a1c52-6f0e-4a3b-9d43-2c1f5f0b8e11"
ENDPOINT_PATH = f"/stripe/webhook/{ENDPOINT_UUID}/"

DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "djstripe"]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = "bench.djstripe_urls"
DATABASES["default"]["CONN_MAX_AGE"] = None

STRIPE_LIVE_MODE = False
STRIPE_TEST_SECRET_KEY = "sk_test_" + 24 * "0"  # dj-stripe checks the form of a key
STRIPE_API_HOST = os.environ.get("BENCH_STRIPE_URL", "")
SILENCED_SYSTEM_CHECKS = ["djstripe.W002"]  # STRIPE_API_HOST is not meant for production
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
