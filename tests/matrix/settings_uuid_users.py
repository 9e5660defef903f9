"""Settings of a site whose users have UUIDs."""

from tests.matrix.settings_base import *  # noqa: F403

AUTH_USER_MODEL = "accounts.UuidUser"
