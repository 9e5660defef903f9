"""Settings of a site whose payer is not the user."""

from tests.matrix.settings_base import *  # noqa: F403

STRIPE_USER_MODEL = "accounts.Office"
STRIPE_PAYER_FROM_REQUEST = "tests.matrix.accounts.payers.office_of"
