"""Settings of a site with aa-stripe 0.13.0, in a separate virtualenv (see ../old_site.py)."""

import json
import os
import sys
import warnings
from importlib import import_module

# stripe 2 contains an old copy of six that Python 3.12 cannot import, so six itself replaces it.
for name in ("", ".moves", ".moves.urllib", ".moves.urllib.parse"):
    sys.modules[f"stripe.six{name}"] = import_module(f"six{name}")
warnings.simplefilter("ignore")

DATABASES = {"default": json.loads(os.environ["SITE_DATABASE"])}

if DATABASES["default"]["ENGINE"].endswith("mysql"):
    import pymysql

    pymysql.version_info = (2, 2, 1, "final", 0)
    pymysql.install_as_MySQLdb()

SECRET_KEY = "only for tests"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
STRIPE_API_KEY = "sk_test_fake"
PAYMENT_ORIGIN = ""
SITE_ID = 1
if "SITE_USER_MODEL" in os.environ:
    STRIPE_USER_MODEL = os.environ["SITE_USER_MODEL"]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sites",
    "rest_framework",
    "aa_stripe",
]
