"""Settings of a project with 64-bit ids."""

from tests.settings import *  # noqa: F403

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
