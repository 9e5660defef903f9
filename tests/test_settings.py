"""Settings are looked up each time they are used."""

from __future__ import annotations

import pytest

from aa_stripe import settings as module
from aa_stripe.settings import DEFAULTS, stripe_settings


def test_a_setting_of_the_project_overrides_the_default(settings):
    settings.STRIPE_PENDING_WEBHOOKS_THRESHOLD = 7

    assert stripe_settings.PENDING_WEBHOOKS_THRESHOLD == 7


def test_a_missing_setting_has_its_default(settings):
    assert not hasattr(settings, "STRIPE_PENDING_WEBHOOKS_THRESHOLD")

    assert (
        stripe_settings.PENDING_WEBHOOKS_THRESHOLD == 20 == DEFAULTS["PENDING_WEBHOOKS_THRESHOLD"]
    )


def test_events_are_applied_on_delivery_by_default(settings):
    assert not hasattr(settings, "STRIPE_WEBHOOK_PROCESSOR")
    assert stripe_settings.WEBHOOK_PROCESSOR == "inline"

    settings.STRIPE_WEBHOOK_PROCESSOR = "deferred"

    assert stripe_settings.WEBHOOK_PROCESSOR == "deferred"


def test_charges_are_left_to_cron_by_default(settings):
    assert not hasattr(settings, "STRIPE_CHARGE_PROCESSOR")
    assert stripe_settings.CHARGE_PROCESSOR == "cron"

    settings.STRIPE_CHARGE_PROCESSOR = "celery"

    assert stripe_settings.CHARGE_PROCESSOR == "celery"


def test_events_of_all_types_are_expected_by_default(settings):
    assert not hasattr(settings, "STRIPE_WEBHOOK_EVENT_TYPES")
    assert stripe_settings.WEBHOOK_EVENT_TYPES is None

    settings.STRIPE_WEBHOOK_EVENT_TYPES = ["charge.refunded"]

    assert stripe_settings.WEBHOOK_EVENT_TYPES == ["charge.refunded"]


def test_a_setting_can_be_assigned(monkeypatch):
    monkeypatch.setattr(stripe_settings, "PENDING_WEBHOOKS_THRESHOLD", 1, raising=False)

    assert stripe_settings.PENDING_WEBHOOKS_THRESHOLD == 1


def test_an_unknown_setting_raises_an_error():
    with pytest.raises(AttributeError, match="Unknown Stripe setting: PENING"):
        stripe_settings.PENING  # noqa: B018


@pytest.mark.parametrize("name", ["PAYMENT_ORIGIN", "ENV_PREFIX"])
def test_two_settings_have_no_prefix(settings, name):
    assert getattr(stripe_settings, name) is None

    setattr(settings, name, "shop")

    assert getattr(stripe_settings, name) == "shop"


def test_the_payment_origin_can_be_imported_as_in_0_14(settings):
    settings.PAYMENT_ORIGIN = "shop"

    assert module.PAYMENT_ORIGIN == "shop"


def test_the_module_has_no_other_dynamic_attributes():
    with pytest.raises(AttributeError, match="no attribute 'NONSENSE'"):
        module.NONSENSE  # noqa: B018


def test_the_user_model_is_the_projects_by_default(settings):
    assert stripe_settings.user_model == "auth.User"

    settings.STRIPE_USER_MODEL = "auth.Group"

    assert stripe_settings.user_model == "auth.Group"
