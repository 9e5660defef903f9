"""A plugin for pytest: ``pytest_plugins = ["aa_stripe.testing.fixtures"]`` in your conftest.py.

It provides the fixtures, and blocks Stripe's own addresses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

import pytest
from django.test import override_settings

from aa_stripe.testing.fake import TEST_KEY, FakeStripe
from aa_stripe.testing.network import Guard

MARKER = "real_stripe"


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


def _fail(host: str) -> NoReturn:
    # Not an Exception: the SDK and our jobs handle each Exception, as after a lost connection.
    pytest.fail(
        f"This test tried to reach Stripe at {host}. Use the fixture fake_stripe, or mark the test "
        f"with @pytest.mark.{MARKER} if it may call Stripe itself."
    )


_guard = Guard(_fail)


def pytest_configure(config: pytest.Config) -> None:
    """Block Stripe's addresses; declare the marker of tests that may reach them."""
    config.addinivalue_line("markers", f"{MARKER}: the test may call Stripe itself")
    _guard.install()


def pytest_unconfigure() -> None:
    """Unblock Stripe's addresses."""
    _guard.uninstall()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Unblock Stripe's addresses for a test with the marker."""
    _guard.is_lifted = item.get_closest_marker(MARKER) is not None
    yield
    _guard.is_lifted = False
