"""Settings of the benchmark: what aa_stripe needs, on a SQLite file of this run."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path

SECRET_KEY = "only for the benchmark"
USE_TZ = True

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "aa_stripe",
]

# A file, not memory, so that the cost of the commits is measured.
directory = tempfile.mkdtemp(prefix="aa-stripe-bench-")
atexit.register(shutil.rmtree, directory, ignore_errors=True)
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(directory) / "bench.sqlite3",
    }
}

STRIPE_API_KEY = "sk_test_fake"
STRIPE_WEBHOOK_ENDPOINT_SECRET = "whsec_bench"
STRIPE_MAX_NETWORK_RETRIES = 0
