"""Settings of the test project.

``TEST_DATABASE`` chooses the database: ``sqlite`` (default), ``postgres`` or ``mariadb``.
``TEST_DATABASE_NAME`` keeps two runs on one server apart (default ``aa_stripe``).
The servers are looked for on 127.0.0.1; ``TEST_POSTGRES_HOST``, ``_PORT``, ``_USER``,
``_PASSWORD`` and the same with ``TEST_MARIADB_`` name others.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import django

SECRET_KEY = "only for tests"
DEBUG = False
USE_TZ = True
TIME_ZONE = "UTC"
SITE_ID = 1
ROOT_URLCONF = "tests.urls"
STATIC_URL = "/static/"
# DEFAULT_AUTO_FIELD is left out on purpose: the ids of aa_stripe are decided by its AppConfig.

STRIPE_API_KEY = "sk_test_fake"
STRIPE_WEBHOOK_ENDPOINT_SECRET = "whsec_test"
STRIPE_MAX_NETWORK_RETRIES = 0

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.sites",
    "rest_framework",
    "aa_stripe",
    "tests.orders",
]

# A backend of Django's Tasks that has a worker. The benchmark, which has these settings too, runs
# without it.
if django.VERSION >= (6, 0) and find_spec("django_tasks_db"):
    INSTALLED_APPS.append("django_tasks_db")
    # Its tables are made from its models; twenty migrations for each database take their time.
    MIGRATION_MODULES = {"django_tasks_database": None}

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def scratch_directory() -> Path:
    """The directory of this run's SQLite files; processes started by the run share it."""
    if "TEST_SQLITE_DIRECTORY" not in os.environ:
        directory = tempfile.mkdtemp(prefix="aa-stripe-")
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        os.environ["TEST_SQLITE_DIRECTORY"] = directory
    return Path(os.environ["TEST_SQLITE_DIRECTORY"])


def sqlite() -> dict[str, Any]:
    # A file, not memory: threads and other processes can then meet in it, as they do in production.
    directory = scratch_directory()
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": directory / "db.sqlite3",
        "TEST": {"NAME": directory / "test.sqlite3"},
    }


def postgres() -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ.get("TEST_POSTGRES_HOST", "127.0.0.1"),
        "PORT": os.environ.get("TEST_POSTGRES_PORT", "5432"),
        "USER": os.environ.get("TEST_POSTGRES_USER", "postgres"),
        "PASSWORD": os.environ.get("TEST_POSTGRES_PASSWORD", ""),
        "NAME": os.environ.get("TEST_DATABASE_NAME", "aa_stripe"),
    }


def mariadb() -> dict[str, Any]:
    import pymysql

    # Django asks for mysqlclient by its version number. PyMySQL stands in for it here because
    # it needs no compiler, so that the suite runs on any machine.
    pymysql.version_info = (2, 2, 1, "final", 0)
    pymysql.install_as_MySQLdb()
    return {
        "ENGINE": "django.db.backends.mysql",
        "HOST": os.environ.get("TEST_MARIADB_HOST", "127.0.0.1"),
        "PORT": os.environ.get("TEST_MARIADB_PORT", "3306"),
        "USER": os.environ.get("TEST_MARIADB_USER", "root"),
        "PASSWORD": os.environ.get("TEST_MARIADB_PASSWORD", ""),
        "NAME": os.environ.get("TEST_DATABASE_NAME", "aa_stripe"),
        "OPTIONS": {"charset": "utf8mb4"},
        "TEST": {"CHARSET": "utf8mb4"},
    }


def chosen_database() -> dict[str, Any]:
    choices = {"sqlite": sqlite, "postgres": postgres, "mariadb": mariadb}
    database = choices[os.environ.get("TEST_DATABASE", "sqlite")]()
    # A process started by a test works in the test's own database, which exists already.
    if "TEST_DATABASE_OPEN" in os.environ:
        database["NAME"] = os.environ["TEST_DATABASE_OPEN"]
    return database


DATABASES = {"default": chosen_database()}
