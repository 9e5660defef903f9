"""Settings of a project whose payers have a text as their primary key."""

from tests.settings import *  # noqa: F403

STRIPE_USER_MODEL = "orders.Office"
