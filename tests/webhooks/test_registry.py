"""The handlers and receivers that are called for an event, and their order."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from functools import partial

import pytest

from aa_stripe import stripe_webhooks
from aa_stripe.models import StripeWebhook
from aa_stripe.signals import webhook_pre_parse
from aa_stripe.webhooks import WebhookRegistry, is_event_type, is_of, registry
from tests.webhooks.effects import TYPE, stored_event

TIMEOUT = 60  # seconds


@pytest.fixture
def empty():
    """A registry without handlers."""
    return WebhookRegistry()


@pytest.fixture
def app(tmp_path):
    """The path of an app's ``stripe_webhooks.py``, and the environment of a site with that app."""
    package = tmp_path / "bakery"
    package.mkdir()
    (package / "__init__.py").touch()
    (tmp_path / "bakery_settings.py").write_text(
        'from tests.settings import *\n\nINSTALLED_APPS += ["bakery"]\n'
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "bakery_settings",
        "PYTHONPATH": path.strip(os.pathsep),
    }
    return package / "stripe_webhooks.py", environment


def start_up(environment):
    """Start Django and print the names of the handlers for ``payout.paid``."""
    program = """
        import django

        django.setup()

        from aa_stripe.webhooks import registry

        print(*[handler.__name__ for handler in registry.handlers_of("payout.paid")])
    """
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


# Order


def test_receivers_are_called_first_and_then_the_handlers_in_order_of_registration(
    db, on, receiver
):
    webhook, called = stored_event("charge.dispute.created"), []
    on("charge.dispute.*")(lambda webhook: called.append("first handler"))
    on("charge.dispute.created")(lambda webhook: called.append("second handler"))
    on("*")(lambda webhook: called.append("third handler"))

    @receiver
    def note(sender, instance, **kwargs):
        called.append("receiver")

    webhook.parse()

    assert called == ["receiver", "first handler", "second handler", "third handler"]


def test_a_handler_is_called_with_the_event(db, on):
    webhook, arguments = stored_event(), []
    on(TYPE)(arguments.append)

    webhook.parse()

    assert arguments == [webhook]


@pytest.mark.parametrize(
    ("type", "model", "action"),
    [
        ("charge.dispute.created", "charge.dispute", "created"),
        ("payout.paid", "payout", "paid"),
        ("ping", None, None),
    ],
)
def test_receivers_get_the_five_documented_arguments(db, receiver, type, model, action):
    webhook, calls = stored_event(type), []

    @receiver
    def note(signal, **arguments):
        calls.append((arguments, arguments["instance"].is_parsed))

    webhook.parse()

    assert calls == [
        (
            {
                "sender": StripeWebhook,
                "instance": webhook,
                "event_type": type,
                "event_model": model,
                "event_action": action,
            },
            False,
        )
    ]


def test_a_handler_is_called_once_if_several_of_its_patterns_match(empty):
    handler = object()

    empty.on("charge.dispute.created", "charge.dispute.*", "*")(handler)
    empty.on("charge.*")(handler)

    assert empty.handlers_of("charge.dispute.created") == [handler]


def test_registering_twice_changes_nothing(empty):
    first, second = object(), object()
    empty.on("payout.paid")(first)
    empty.on("payout.paid")(second)

    empty.on("payout.paid")(first)

    assert empty.handlers_of("payout.paid") == [first, second]


def test_the_decorator_returns_the_handler_unchanged(empty):
    def handler(webhook):
        """Registered below."""

    assert empty.on("payout.paid")(handler) is handler


# Patterns


@pytest.mark.parametrize(
    ("type", "pattern"),
    [
        ("charge.refunded", "charge.refunded"),
        ("charge.dispute.created", "charge.dispute.*"),
        ("charge.dispute.funds_withdrawn", "charge.dispute.*"),
        ("charge.dispute.created", "charge.*"),
        ("charge.refunded", "*"),
        ("ping", "*"),
    ],
)
def test_a_pattern_matches_its_types(empty, type, pattern):
    handler = object()

    empty.on(pattern)(handler)

    assert is_of(type, pattern)
    assert empty.handlers_of(type) == [handler]


@pytest.mark.parametrize(
    ("type", "pattern"),
    [
        ("charge.refunded", "charge.refund"),
        ("charge.refund.updated", "charge.refund"),
        ("charge.dispute", "charge.dispute.*"),
        ("charge.disputed.created", "charge.dispute.*"),
        ("charge.refunded", "charge.dispute.*"),
        ("issuing.charge.refunded", "charge.refunded"),
    ],
)
def test_a_pattern_does_not_match_other_types(empty, type, pattern):
    empty.on(pattern)(object())

    assert not is_of(type, pattern)
    assert empty.handlers_of(type) == []


@pytest.mark.parametrize("text", ["ping", "v2.core.event", "charge.dispute.*", "*", "a_b.c_1"])
def test_types_and_patterns_are_valid(text):
    assert is_event_type(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        ".*",
        "**",
        "*.created",
        "charge.*.created",
        "charge*",
        "charge.",
        "charge..refunded",
        ".charge",
        "Charge.Refunded",
        "charge.refunded ",
        "charge.refunded\n",
        "charge refunded",
        "charge/refunded",
    ],
)
def test_an_invalid_pattern_is_rejected_at_registration(empty, text):
    assert not is_event_type(text)
    with pytest.raises(ValueError, match="is not an event type"):
        empty.on("charge.refunded", text)


def test_a_decorator_without_parentheses_is_rejected(empty):
    with pytest.raises(ValueError, match=r"Use @on\(\.\.\.\)"):

        @empty.on
        def handler(webhook):
            """Not registered."""


def test_a_decorator_without_a_type_is_rejected(empty):
    with pytest.raises(ValueError, match="with one or more types"):
        empty.on()


# Unregistering


def test_an_unregistered_handler_is_not_called(empty):
    handler, other = object(), object()
    empty.on("payout.paid", "payout.*")(handler)
    empty.on("payout.paid")(other)

    empty.off(handler)

    assert empty.handlers_of("payout.paid") == [other]


def test_a_method_can_be_unregistered(empty):
    class Accounts:
        def book(self, webhook):
            """Do nothing."""

    accounts = Accounts()
    empty.on("payout.paid")(accounts.book)

    empty.off(accounts.book)

    assert empty.handlers_of("payout.paid") == []


def test_unregistering_an_unknown_handler_changes_nothing(empty):
    handler = object()
    empty.on("payout.paid")(handler)

    empty.off(partial(print))

    assert empty.handlers_of("payout.paid") == [handler]


# has_listeners


def test_an_event_has_listeners_if_it_has_a_handler_or_a_receiver(on, receiver):
    webhook = StripeWebhook(id="evt_1", raw_data={"type": TYPE})
    assert not webhook.has_listeners

    handler = on("payout.*")(print)
    assert webhook.has_listeners
    registry.off(handler)
    assert not webhook.has_listeners

    @receiver
    def ignore(sender, **kwargs):
        """Do nothing."""

    assert webhook.has_listeners


def test_a_receiver_of_another_sender_is_no_listener():
    def ignore(sender, **kwargs):
        """Do nothing."""

    webhook_pre_parse.connect(ignore, sender=WebhookRegistry)
    try:
        assert not StripeWebhook(id="evt_1", raw_data={"type": TYPE}).has_listeners
    finally:
        webhook_pre_parse.disconnect(ignore, sender=WebhookRegistry)


# Start-up


def test_the_handlers_of_aa_stripe_are_registered():
    assert registry.handlers_of("coupon.created") == [stripe_webhooks.store_coupon]


def test_the_handlers_of_a_projects_app_are_found_at_start_up(app):
    module, environment = app
    module.write_text(
        textwrap.dedent(
            """
            from aa_stripe.models import StripeWebhook
            from aa_stripe.webhooks import on


            @on("payout.paid")
            def book(webhook: StripeWebhook):
                pass
            """
        )
    )

    started = start_up(environment)

    assert (started.stdout.split(), started.returncode) == (["book"], 0), started.stderr


def test_a_site_starts_with_an_app_without_handlers(app):
    _, environment = app

    started = start_up(environment)

    assert (started.stdout.split(), started.returncode) == ([], 0), started.stderr


def test_a_site_does_not_start_with_a_handler_of_an_invalid_type(app):
    module, environment = app
    module.write_text("from aa_stripe.webhooks import on\n\n\n@on\ndef book(webhook):\n    pass\n")

    started = start_up(environment)

    assert started.returncode != 0
    assert "is not an event type" in started.stderr
