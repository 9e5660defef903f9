"""docs/http-api.rst shows the responses of the endpoints."""

from __future__ import annotations

import json
import re
from pathlib import Path
from textwrap import dedent

from django.utils.translation import gettext

from aa_stripe.exceptions import StripeInternalError
from aa_stripe.serializers import StripeJSField
from tests.api.requests import charge_url, of
from tests.support.builders import make_charge, make_customer

PAGE = (Path(__file__).parents[2] / "docs" / "http-api.rst").read_text("utf-8")


def shown():
    """Return the page's blocks of JSON: a customer, a charge and others."""
    blocks = re.findall(r"^ *\.\. code-block:: json\n\n(.*?)\n\n", PAGE, re.DOTALL | re.MULTILINE)
    return [json.loads(dedent(block)) for block in blocks]


def test_a_customer_has_the_fields_shown_on_the_page(api, payer):
    customer, *_ = shown()

    assert api.get(of(make_customer(payer))).json().keys() == customer.keys()


def test_a_charge_has_the_fields_and_the_state_shown_on_the_page(api, payer):
    _, charge, *_ = shown()
    waiting = make_charge(make_customer(payer, "tok_authenticationRequired"))
    waiting.charge()

    returned = api.get(charge_url(waiting)).json()

    assert returned.keys() == charge.keys()
    for name in ("state", "failure_code", "charge_attempt_failed", "is_charged"):
        assert returned[name] == charge[name]


def test_the_page_quotes_the_error_messages():
    assert str(StripeInternalError.details) in PAGE
    assert gettext("This field is required.") in PAGE
    assert str(StripeJSField.default_error_messages["no_stripe_js"]) in PAGE
