"""Settings are looked up when they are used."""

from __future__ import annotations

import pytest

from aa_stripe import settings as module
from aa_stripe.settings import DEFAULTS, stripe_settings


def test_a_setting_of_the_project_wins_over_the_default(settings):
    settings.STRIPE_PENDING_WEBHOOKS_THRESHOLD = 7

    assert stripe_settings.PENDING_WEBHOOKS_THRESHOLD == 7


def test_a_setting_left_out_has_its_default(settings):
    assert not hasattr(settings, "STRIPE_PENDING_WEBHOOKS_THRESHOLD")

    assert (
        stripe_settings.PENDING_WEBHOOKS_THRESHOLD == 20 == DEFAULTS["PENDING_WEBHOOKS_THRESHOLD"]
    )


def test_an_event_is_applied_when_it_is_delivered_unless_the_project_says_otherwise(settings):
    assert not hasattr(settings, "STRIPE_WEBHOOK_PROCESSOR")
    assert stripe_settings.WEBHOOK_PROCESSOR == "inline"

    settings.STRIPE_WEBHOOK_PROCESSOR = "deferred"

    assert stripe_settings.WEBHOOK_PROCESSOR == "deferred"


def test_events_of_all_types_are_expected_unless_the_project_says_otherwise(settings):
    assert not hasattr(settings, "STRIPE_WEBHOOK_EVENT_TYPES")
    assert stripe_settings.WEBHOOK_EVENT_TYPES is None

    settings.STRIPE_WEBHOOK_EVENT_TYPES = ["charge.refunded"]

    assert stripe_settings.WEBHOOK_EVENT_TYPES == ["charge.refunded"]


def test_a_setting_can_be_assigned(monkeypatch):
    monkeypatch.setattr(stripe_settings, "PENDING_WEBHOOKS_THRESHOLD", 1, raising=False)

    assert stripe_settings.PENDING_WEBHOOKS_THRESHOLD == 1


def test_an_unknown_setting_is_said_to_be_unknown():
    with pytest.raises(AttributeError, match="Unknown Stripe setting: PENING"):
        stripe_settings.PENING  # noqa: B018


@pytest.mark.parametrize("name", ["PAYMENT_ORIGIN", "ENV_PREFIX"])
def test_two_settings_have_no_prefix(settings, name):
    assert getattr(stripe_settings, name) is None

    setattr(settings, name, "shop")

    assert getattr(stripe_settings, name) == "shop"


def test_the_payment_origin_is_found_under_the_name_of_0_14(settings):
    settings.PAYMENT_ORIGIN = "shop"

    assert module.PAYMENT_ORIGIN == "shop"


def test_nothing_else_is_found_in_the_module():
    with pytest.raises(AttributeError, match="no attribute 'NONSENSE'"):
        module.NONSENSE  # noqa: B018


def test_the_user_model_is_the_projects_unless_another_is_named(settings):
    assert stripe_settings.user_model == "auth.User"

    settings.STRIPE_USER_MODEL = "auth.Group"

    assert stripe_settings.user_model == "auth.Group"
