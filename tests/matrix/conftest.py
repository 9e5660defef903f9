"""A payer of the site, and the commands."""

from __future__ import annotations

import pytest

from aa_stripe.models import StripeCustomer
from tests.jobs.conftest import run  # noqa: F401 (a fixture)
from tests.matrix.site import new_person


@pytest.fixture
def person(transactional_db):
    return new_person()


@pytest.fixture
def customer(person, fake):
    """The customer of ``person``, with a good card."""
    return new_customer(person)


def new_customer(person, card="tok_visa"):
    customer = StripeCustomer.objects.create(user=person.payer, stripe_js_response={"id": card})
    return customer.create_at_stripe()
