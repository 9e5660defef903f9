"""Handlers and receivers that are taken off again when the test is over."""

from __future__ import annotations

import pytest

from aa_stripe.signals import webhook_pre_parse
from aa_stripe.webhooks import registry


@pytest.fixture
def on():
    """``@on("payout.paid")``, for this test."""
    handlers = []

    def on(*event_types):
        def register(handler):
            handlers.append(handler)
            return registry.on(*event_types)(handler)

        return register

    yield on
    for handler in handlers:
        registry.off(handler)


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
