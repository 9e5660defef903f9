"""Charges, who hears their signals, and receivers that are taken off again after the test."""

from __future__ import annotations

import pytest

from aa_stripe.signals import webhook_pre_parse
from tests.support.builders import make_charge
from tests.support.signals import heard_signals


@pytest.fixture
def heard():
    with heard_signals() as heard:
        yield heard


@pytest.fixture
def charge(fake):
    return make_charge()


@pytest.fixture
def charged(charge, heard):
    """Ten dollars were collected, and everybody knows."""
    charge.charge()
    heard.clear()
    return charge


@pytest.fixture
def receiver():
    """``@receiver`` of ``webhook_pre_parse``, for this test."""
    receivers = []

    def connect(function):
        receivers.append(function)
        webhook_pre_parse.connect(function)
        return function

    yield connect
    for function in receivers:
        webhook_pre_parse.disconnect(function)
