"""A project where something else than the user pays."""

from tests.settings import *  # noqa: F403

STRIPE_USER_MODEL = "sites.Site"
