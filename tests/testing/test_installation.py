from __future__ import annotations

import pytest
import stripe
from django.conf import settings

from aa_stripe import gateway
from aa_stripe.testing import TEST_KEY, FakeStripe

pytest_plugins = ["aa_stripe.testing.fixtures"]


def test_the_fake_replaces_stripe_inside_the_block():
    with FakeStripe() as fake:
        assert gateway.http_client is fake.http_client
        made = stripe.Customer.create(name="Ada")

    assert made.name == "Ada"
    assert fake.requests[0].path == "/v1/customers"


def test_everything_is_restored_after_the_block(monkeypatch):
    monkeypatch.setattr(stripe, "api_key", None)
    before = (gateway.http_client, stripe.default_http_client, stripe.api_key)

    with FakeStripe():
        assert stripe.api_key == TEST_KEY

    assert (gateway.http_client, stripe.default_http_client, stripe.api_key) == before


def test_a_key_of_the_project_is_kept(monkeypatch):
    monkeypatch.setattr(stripe, "api_key", "sk_test_project")

    with FakeStripe():
        assert stripe.api_key == "sk_test_project"


def test_blocks_can_be_nested():
    with FakeStripe() as outer:
        with FakeStripe() as inner:
            assert gateway.http_client is inner.http_client
        assert gateway.http_client is outer.http_client


def test_the_client_is_restored_after_an_exception():
    before = gateway.http_client

    with pytest.raises(RuntimeError), FakeStripe():
        raise RuntimeError

    assert gateway.http_client is before


def test_the_fixture_is_an_installed_fake(fake_stripe):
    assert gateway.http_client is fake_stripe.http_client
    assert settings.STRIPE_API_KEY == TEST_KEY
    assert not fake_stripe.account.allow_card_tokens


def test_the_other_fixture_allows_card_tokens(fake_stripe_with_card_tokens):
    assert stripe.Customer.create(source="tok_visa").default_source.startswith("card_")
