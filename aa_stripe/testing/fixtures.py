"""Fixtures for pytest: ``pytest_plugins = ["aa_stripe.testing.fixtures"]`` in your conftest.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import override_settings

from aa_stripe.testing.fake import TEST_KEY, FakeStripe


@pytest.fixture
def fake_stripe() -> Iterator[FakeStripe]:
    """A Stripe of this test alone; ``STRIPE_API_KEY`` is one that only it takes."""
    with override_settings(STRIPE_API_KEY=TEST_KEY), FakeStripe() as fake:
        yield fake


@pytest.fixture
def fake_stripe_with_card_tokens() -> Iterator[FakeStripe]:
    """The same, of an account on which card tokens may still be used as ``source``."""
    with override_settings(STRIPE_API_KEY=TEST_KEY), FakeStripe(allow_card_tokens=True) as fake:
        yield fake
