"""What receivers, and tests, of a site written for 0.14 do with events."""

from __future__ import annotations

import pytest

from aa_stripe.exceptions import StripeWebhookParseError
from aa_stripe.models import StripeWebhook
from aa_stripe.signals import webhook_pre_parse
from tests.webhooks.deliveries import deliver
from tests.webhooks.effects import make_event

pytestmark = pytest.mark.django_db


@pytest.fixture
def receive():
    """``receive(function)`` connects a receiver for the test."""
    connected = []

    def connect(function):
        webhook_pre_parse.connect(function)
        connected.append(function)

    yield connect
    for function in connected:
        webhook_pre_parse.disconnect(function)


def test_a_parse_error_that_a_receiver_sets_is_kept(receive):
    def set_error(sender, instance, **kwargs):
        instance.parse_error = "Not ours"

    receive(set_error)

    event = StripeWebhook.objects.create(id="evt_1", raw_data={"type": "ping"})

    assert event.parse_error == "Not ours"
    event.refresh_from_db()
    assert (event.is_parsed, event.parse_error) == (True, "Not ours")


def test_a_parse_error_that_a_handler_sets_is_kept_beside_a_rejection(on):
    @on("ping")
    def set_error(webhook):
        webhook.parse_error = "Not ours"

    @on("ping")
    def reject(webhook):
        raise StripeWebhookParseError

    StripeWebhook.objects.create(id="evt_1", raw_data={"type": "ping"})

    stored = StripeWebhook.objects.get()
    assert stored.parse_error == "Not ours\nUnable to parse webhook"


def test_the_error_of_an_earlier_attempt_is_not_kept(on):
    errors = [RuntimeError("Once.")]

    @on("ping")
    def fail_once(webhook):
        if errors:
            raise errors.pop()

    with pytest.raises(RuntimeError):
        StripeWebhook.objects.create(id="evt_1", raw_data={"type": "ping"})
    StripeWebhook.objects.get().parse()

    stored = StripeWebhook.objects.get()
    assert (stored.is_parsed, stored.parse_error) == (True, "")


def test_saving_an_unparsed_event_parses_it(on):
    seen = []
    on("ping")(lambda webhook: seen.append(webhook.pk))
    StripeWebhook.objects.bulk_create([StripeWebhook(id="evt_1", raw_data={"type": "ping"})])

    event = StripeWebhook.objects.get()
    event.save()

    assert (seen, event.is_parsed) == (["evt_1"], True)
    assert StripeWebhook.objects.get().is_parsed


def test_an_event_is_parsed_again_after_the_mark_was_removed(on):
    seen = []
    on("ping")(lambda webhook: seen.append(webhook.pk))
    event = StripeWebhook.objects.create(id="evt_1", raw_data={"type": "ping"})

    event.is_parsed = False
    event.save()

    assert seen == ["evt_1", "evt_1"]
    assert StripeWebhook.objects.get().is_parsed


def test_saving_other_fields_does_not_parse(on):
    seen = []
    on("ping")(lambda webhook: seen.append(webhook.pk))
    StripeWebhook.objects.bulk_create([StripeWebhook(id="evt_1", raw_data={"type": "ping"})])

    event = StripeWebhook.objects.get()
    event.retry_at = None
    event.save(update_fields=["retry_at"])

    assert seen == []


@pytest.mark.parametrize("is_marked", [True, False])
def test_saving_an_event_of_the_other_mode_does_not_parse(on, is_marked):
    seen = []
    on("ping")(lambda webhook: seen.append(webhook.pk))
    raw_data = {"type": "ping", "livemode": True}
    event = StripeWebhook(id="evt_1", raw_data=raw_data, is_wrong_mode=is_marked)
    StripeWebhook.objects.bulk_create([event])

    StripeWebhook.objects.get().save()

    assert seen == []
    assert not StripeWebhook.objects.get().is_parsed


def test_saving_inside_a_handler_does_not_parse_twice(on):
    seen = []

    @on("ping")
    def save(webhook):
        seen.append(webhook.pk)
        webhook.save()

    StripeWebhook.objects.create(id="evt_1", raw_data={"type": "ping"})

    assert seen == ["evt_1"]


def test_the_response_has_data_as_with_rest_framework(client):
    event = make_event()

    response = deliver(client, event)

    assert response.data == {"id": event["id"], "raw_data": event}


def test_the_response_to_a_rejected_delivery_has_data(client):
    response = client.post("/aa-stripe/webhooks", b"{}", content_type="application/json")

    assert "detail" in response.data


@pytest.mark.urls("tests.webhooks.tenants")
@pytest.mark.parametrize("path", ["/plain/oslo", "/own/oslo"])
def test_the_url_of_the_endpoint_may_have_arguments(path, client):
    response = deliver(client, make_event("ping"), path=path)

    assert response.status_code == 201


def test_an_object_without_a_text_as_id_has_a_text():
    assert str(StripeWebhook(pk=7)) == "7"
