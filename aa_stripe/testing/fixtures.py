"""Fixtures for pytest: ``pytest_plugins = ["aa_stripe.testing.fixtures"]`` in your conftest.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import override_settings

from aa_stripe.testing.fake import TEST_KEY, FakeStripe


@pytest.fixture
def fake_stripe() -> Iterator[FakeStripe]:
    """Provide an offline Stripe for one test; ``STRIPE_API_KEY`` is ``TEST_KEY``."""
    with override_settings(STRIPE_API_KEY=TEST_KEY), FakeStripe() as fake:
        yield fake


@pytest.fixture
def fake_stripe_with_card_tokens() -> Iterator[FakeStripe]:
    """Provide an offline Stripe that accepts card tokens as ``source``."""
    with override_settings(STRIPE_API_KEY=TEST_KEY), FakeStripe(allow_card_tokens=True) as fake:
        yield fake
