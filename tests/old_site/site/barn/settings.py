"""Settings of the Climbing Barn: a bouldering hall with members, day tickets and a small shop."""

import json
import os

BASE_DIR = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

SECRET_KEY = os.environ.get("SITE_SECRET_KEY", "not a secret on the developer's machine")
DEBUG = False
ALLOWED_HOSTS = ["*"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.sites",
    "rest_framework",
    "aa_stripe",
    "club.apps.ClubConfig",
]

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

ROOT_URLCONF = "barn.urls"

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

DATABASES = {
    "default": json.loads(os.environ.get("SITE_DATABASE", "null"))
    or {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.path.join(BASE_DIR, "barn.sqlite3"),
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

LANGUAGE_CODE = "en-us"
TIME_ZONE = "America/Denver"
USE_I18N = True
USE_TZ = True
STATIC_URL = "/static/"
SITE_ID = 1

ADMINS = [("Barn", "it@barn.example")]
DEFAULT_FROM_EMAIL = "desk@barn.example"

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
}

# Stripe
STRIPE_API_KEY = os.environ.get("BARN_STRIPE_KEY", "sk_test_barn")
STRIPE_WEBHOOK_ENDPOINT_SECRET = os.environ.get("BARN_STRIPE_SECRET", "whsec_barn")
STRIPE_PENDING_WEBHOOKS_THRESHOLD = 3
PAYMENT_ORIGIN = "climbing-barn"
ENV_PREFIX = "desk"
