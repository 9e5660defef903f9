"""A site that requests payments inside transactions, which the default settings forbid."""

from __future__ import annotations

from contextlib import contextmanager, suppress

from django.db import transaction
from django.test import override_settings


class RolledBack(Exception):
    pass


@contextmanager
def rolled_back():
    """Run the block in a transaction that allows payments, and then roll it back."""
    with allowed_transaction(RolledBack):
        yield


@contextmanager
def allowed_transaction(error=None):
    """Run the block in a transaction that allows payments; end it by raising ``error`` if given."""
    with (
        override_settings(STRIPE_TRANSACTIONS="allow"),
        suppress(RolledBack),
        transaction.atomic(),
    ):
        yield
        if error is not None:
            raise error
