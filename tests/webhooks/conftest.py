"""Charges, the signals that were sent, and receivers that are connected for one test."""

from __future__ import annotations

import logging

import pytest

from aa_stripe.signals import webhook_pre_parse
from tests.support.builders import make_charge


@pytest.fixture
def charge(fake):
    return make_charge()


@pytest.fixture
def charged(charge, sent):
    """A charge of ten dollars that was collected. Its signals are not in ``sent`` any more."""
    charge.charge()
    sent.clear()
    return charge


@pytest.fixture
def receiver():
    """A decorator that connects a receiver to ``webhook_pre_parse`` for this test."""
    receivers = []

    def connect(function):
        receivers.append(function)
        webhook_pre_parse.connect(function)
        return function

    yield connect
    for function in receivers:
        webhook_pre_parse.disconnect(function)


@pytest.fixture
def logged(caplog):
    """A function that returns the messages that were logged as errors."""
    caplog.set_level(logging.ERROR, logger="aa-stripe")
    return lambda: [it.getMessage() for it in caplog.records if it.levelno >= logging.ERROR]
