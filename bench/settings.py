"""Settings of the benchmark: what aa_stripe needs, on PostgreSQL.

The server is found as the tests find it (``TEST_POSTGRES_HOST`` and the like). The benchmark makes
a database of its own on it, and names it in ``BENCH_DATABASE`` for the processes that it starts.
"""

from __future__ import annotations

import os

SECRET_KEY = "only for the benchmark"
USE_TZ = True

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "aa_stripe",
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ.get("TEST_POSTGRES_HOST", "127.0.0.1"),
        "PORT": os.environ.get("TEST_POSTGRES_PORT", "5432"),
        "USER": os.environ.get("TEST_POSTGRES_USER", "postgres"),
        "PASSWORD": os.environ.get("TEST_POSTGRES_PASSWORD", ""),
        "NAME": os.environ.get("BENCH_DATABASE", "postgres"),
        "TEST": {"NAME": f"aa_stripe_bench_{os.getpid()}"},
    }
}

STRIPE_API_KEY = "sk_test_fake"
STRIPE_WEBHOOK_ENDPOINT_SECRET = "whsec_bench"
STRIPE_API_BASE = os.environ.get("BENCH_STRIPE_URL", "")
if "BENCH_RATE_LIMIT_URL" in os.environ:
    STRIPE_RATE_LIMIT_URL = os.environ["BENCH_RATE_LIMIT_URL"]
    STRIPE_REQUESTS_PER_SECOND = 100  # the limit that the processes share
