"""Charges of a customer at the offline Stripe, and the signals that they send."""

from __future__ import annotations

import pytest

from aa_stripe.models.charge import refunding
from tests.support.builders import make_charge, make_customer
from tests.support.signals import collected_signals


@pytest.fixture
def sent_signals():
    """The names of the signals sent during the test, in their order."""
    with collected_signals(lambda name, instance: name) as names:
        yield names


@pytest.fixture
def customer(db, fake):
    return make_customer()


@pytest.fixture
def charge(customer):
    return make_charge(customer)


@pytest.fixture
def charged(charge):
    charge.charge()
    return charge


@pytest.fixture
def declined(db, fake):
    """A pending charge whose card attaches and then declines every payment."""
    return make_charge(make_customer(card="tok_chargeCustomerFail"))


@pytest.fixture
def before_the_commit(monkeypatch):
    """``before_the_commit(act)`` calls ``act()`` once, just before an order is committed."""

    def before_the_commit(act):
        commit = refunding._commit_order

        def commit_late(*arguments):
            monkeypatch.setattr(refunding, "_commit_order", commit)
            act()
            return commit(*arguments)

        monkeypatch.setattr(refunding, "_commit_order", commit_late)

    return before_the_commit
