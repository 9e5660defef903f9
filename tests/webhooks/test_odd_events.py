"""Events with an odd field are stored or rejected; none of them is an error of the site.

``ODD_EVENTS=20000`` delivers that many of them; the default is a small sample. There are about
190,000. The sample of a number is always the same, and half of it is in fields that handlers read.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from random import Random
from traceback import extract_tb

import pytest
from django.db import transaction
from django.test import Client

import aa_stripe
from aa_stripe.models import StripeWebhook
from aa_stripe.webhooks import is_of, registry
from tests.webhooks.deliveries import deliver, post_signed
from tests.webhooks.odd_events import OBJECTS, TYPES, event_of, oddities_of, sample_of

PACKAGE = Path(aa_stripe.__file__).parent
NUMBER = int(os.environ.get("ODD_EVENTS", "600"))
SEED = 20261206
EXAMPLES = 5

#: Events that a handler rejects although nothing about them is odd.
WITHOUT_ROW = "payment_intent.succeeded (without a row)"
REJECTED = {WITHOUT_ROW, "coupon.created (stored before)"}

#: Events whose handler sends no request to Stripe.
WITHOUT_REQUEST = {WITHOUT_ROW, *(name for name in OBJECTS if "dispute" in name)}

pytestmark = pytest.mark.django_db


@pytest.fixture
def errors_of(caplog):
    """A function that delivers a body, undoes its effects, and returns what went wrong."""
    client = Client(raise_request_exception=False)

    def errors_of(body, *, may_be_rejected):
        caplog.clear()
        with transaction.atomic():
            status = post_signed(client, body).status_code
            stored = list(StripeWebhook.objects.values_list("is_parsed", "is_wrong_mode"))
            transaction.set_rollback(True)
        tracebacks = [kind_of(it.exc_info[1]) for it in caplog.records if it.exc_info]
        is_stored = status == 201 and stored in ([(True, False)], [(False, True)])
        is_rejected = status == 400 and stored == [] and may_be_rejected
        return tracebacks or ([] if is_stored or is_rejected else [f"{status}, stored: {stored}"])

    return errors_of


def kind_of(error):
    """Return the error's class, and the last line of this package that was running."""
    ours = [it for it in extract_tb(error.__traceback__) if PACKAGE in Path(it.filename).parents]
    if not ours:
        return repr(error)
    place = ours[-1]
    file = Path(place.filename).relative_to(PACKAGE).as_posix()
    return f"{type(error).__name__} in {file}: {place.name}: {place.line}"


def report_of(kinds):
    """Return each kind of error with its number of events, and the oddities of some of them."""
    return "\n".join(
        line
        for kind, found in kinds.items()
        for line in (f"{kind} ({len(found)} events)", *(f"    {it}" for it in found[:EXAMPLES]))
    )


def built_in_patterns():
    """Return the types of the built-in handlers; some end with a star."""
    return {
        pattern
        for pattern, handler in registry._registered
        if handler.__module__.startswith("aa_stripe.")
    }


def test_each_type_with_a_built_in_handler_has_odd_events():
    patterns = built_in_patterns()

    assert [it for it in TYPES if not any(is_of(it, pattern) for pattern in patterns)] == []
    assert [it for it in patterns if not any(is_of(type, it) for type in TYPES)] == []


@pytest.mark.parametrize("name", OBJECTS)
def test_the_event_without_an_oddity_is_applied(name, fake, client):
    made = event_of(name, fake)
    fake.requests.clear()

    response = deliver(client, made)

    webhook = StripeWebhook.objects.get()
    assert (response.status_code, webhook.is_parsed) == (201, True)
    assert bool(webhook.parse_error) == (name in REJECTED)
    assert bool(fake.requests) == (name not in WITHOUT_REQUEST)


@pytest.mark.parametrize("name", OBJECTS)
def test_an_odd_event_is_stored_or_rejected(name, fake, errors_of):
    made = event_of(name, fake)
    chosen = sample_of(oddities_of(made), -(-NUMBER // len(OBJECTS)), Random(f"{SEED} {name}"))

    kinds = defaultdict(list)
    for oddity in chosen:
        for kind in errors_of(oddity.body(made), may_be_rejected=oddity.may_be_rejected):
            kinds[kind].append(str(oddity))

    assert not kinds, report_of(kinds)
