"""Settings of a project whose payer is not the user model."""

from tests.settings import *  # noqa: F403

STRIPE_USER_MODEL = "sites.Site"
