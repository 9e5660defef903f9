"""The public names of 0.14."""

from __future__ import annotations

import importlib

import pytest

from aa_stripe import exceptions

NAMES = {
    "aa_stripe": "__version__ VERSION",
    "aa_stripe.models": (
        "StripeBasicModel StripeCustomer StripeCharge StripeSubscription StripeSubscriptionPlan "
        "StripeCoupon StripeCouponManager StripeCouponQuerySet StripeWebhook USER_MODEL "
        "webhook_pre_parse StripeMethodNotAllowed StripeToken StripeRefund"
    ),
    "aa_stripe.signals": (
        "stripe_charge_succeeded stripe_charge_card_exception stripe_charge_refunded "
        "stripe_charge_requires_action webhook_pre_parse"
    ),
    "aa_stripe.exceptions": (
        "StripeMethodNotAllowed StripeWebhookAlreadyParsed StripeWebhookParseError "
        "StripeCouponAlreadyExists StripeInternalError"
    ),
    "aa_stripe.settings": "stripe_settings DEFAULTS PAYMENT_ORIGIN",
    "aa_stripe.utils": "timestamp_to_timezone_aware_date",
}


@pytest.mark.parametrize(
    ("path", "name"), [(path, name) for path, names in NAMES.items() for name in names.split()]
)
def test_a_name_of_0_14_exists(path, name):
    assert hasattr(importlib.import_module(path), name)


@pytest.mark.parametrize("name", NAMES["aa_stripe.exceptions"].split())
def test_each_exception_has_a_default_message(name):
    error = getattr(exceptions, name)

    assert str(error()) == str(error.details)
    assert str(error("Another text.")) == "Another text."


def test_the_webhook_signal_is_one_object_under_both_names():
    models, signals = map(importlib.import_module, ("aa_stripe.models", "aa_stripe.signals"))

    assert models.webhook_pre_parse is signals.webhook_pre_parse
