"""The public names of 0.14."""

from __future__ import annotations

import importlib

import pytest

from aa_stripe import exceptions
from aa_stripe.settings import stripe_settings

NAMES = {
    "aa_stripe": "__version__ VERSION",
    "aa_stripe.models": (
        "StripeBasicModel StripeCustomer StripeCharge StripeSubscription StripeSubscriptionPlan "
        "StripeCoupon StripeCouponManager StripeCouponQuerySet StripeWebhook USER_MODEL "
        "webhook_pre_parse StripeMethodNotAllowed StripeToken StripeRefund stripe_settings "
        "StripeCouponAlreadyExists StripeInternalError StripeWebhookAlreadyParsed "
        "StripeWebhookParseError stripe_charge_card_exception stripe_charge_refunded "
        "stripe_charge_succeeded"
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
    "aa_stripe.api": "CouponDetailsAPI CustomersAPI CustomerDetailsAPI WebhookAPI",
    "aa_stripe.api_urls": "urlpatterns",
    "aa_stripe.serializers": (
        "StripeCouponSerializer StripeCustomerSerializer StripeCustomerDetailsSerializer "
        "StripeWebhookSerializer"
    ),
    "aa_stripe.forms": "StripeCouponForm",
    "aa_stripe.admin": (
        "ReadOnly ReadOnlyBase StripeCustomerAdmin StripeChargeAdmin StripeCouponAdmin "
        "StripeSubscriptionAdmin StripeSubscriptionPlanAdmin StripeWebhookAdmin"
    ),
    "aa_stripe.management.commands.check_pending_webhooks": "StripePendingWebooksLimitExceeded",
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
    assert error("Another text.").message == "Another text."


TEXTS = {
    "StripeMethodNotAllowed": "Already created at stripe",
    "StripeWebhookAlreadyParsed": "This webhook has already been parsed",
    "StripeWebhookParseError": "Unable to parse webhook",
    "StripeCouponAlreadyExists": "Coupon with this coupon_id and creation date already exists",
    "StripeInternalError": "Temporary Stripe API error",
}


@pytest.mark.parametrize("name", TEXTS)
def test_each_exception_has_the_text_of_0_14(name):
    assert getattr(exceptions, name).details == TEXTS[name]


def test_the_exception_about_missing_webhooks_has_the_message_of_0_14():
    error = exceptions.StripePendingWebhooksLimitExceeded("More.")

    assert error.message == "Pending webhooks threshold limit exceeded, current threshold is 20"


@pytest.mark.parametrize("label", [None, ""])
def test_the_setting_of_the_user_model_falls_back_to_the_projects(settings, label):
    settings.STRIPE_USER_MODEL = label
    assert stripe_settings.USER_MODEL == "auth.User"

    settings.STRIPE_USER_MODEL = "sites.Site"
    assert stripe_settings.USER_MODEL == "sites.Site"


def test_the_webhook_signal_is_one_object_under_both_names():
    models, signals = map(importlib.import_module, ("aa_stripe.models", "aa_stripe.signals"))

    assert models.webhook_pre_parse is signals.webhook_pre_parse
