"""A fake Stripe, and ears for every signal of a charge."""

from __future__ import annotations

import pytest

from aa_stripe import signals
from tests.builders import make_charge, make_customer


@pytest.fixture
def heard():
    """The names of the signals sent during the test, in their order."""
    names = []
    ears = []
    for name in ("succeeded", "card_exception", "requires_action", "refunded"):

        def listen(sender, instance, name=name, **kwargs):
            names.append(name)

        signal = getattr(signals, f"stripe_charge_{name}")
        signal.connect(listen)
        ears.append((signal, listen))
    yield names
    for signal, listen in ears:
        signal.disconnect(listen)


@pytest.fixture
def customer(db, fake):
    return make_customer()


@pytest.fixture
def charge(customer):
    return make_charge(customer)


@pytest.fixture
def declined(db, fake):
    """Return a pending charge whose card attaches and then declines every payment."""
    return make_charge(make_customer(card="tok_chargeCustomerFail"))
