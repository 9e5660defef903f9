"""Settings of a site whose users have a text as their primary key."""

from tests.matrix.settings_base import *  # noqa: F403

AUTH_USER_MODEL = "accounts.TextUser"
