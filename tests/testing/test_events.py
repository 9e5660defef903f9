from __future__ import annotations

import pytest
import stripe

DAY = 24 * 60 * 60


def test_an_event_has_its_object_and_its_request(fake, api):
    made = api.customers.create({"name": "Ada"}, {"idempotency_key": "k"})

    (event,) = api.events.list().data

    assert event.id.startswith("evt_")
    assert (event.type, event.api_version) == ("customer.created", "2026-08-26.dahlia")
    assert event.data.object.to_dict() == made.to_dict()
    assert event["request"].idempotency_key == "k"
    assert event["request"].id == fake.requests[0].id
    assert api.events.retrieve(event.id).type == event.type


def test_an_event_does_not_change_with_its_object(api):
    made = api.customers.create({"name": "Ada"})
    api.customers.update(made.id, {"name": "Grace"})

    updated, created = api.events.list().data

    assert (created.data.object.name, updated.data.object.name) == ("Ada", "Grace")


def test_events_are_listed_by_type(api, paid):
    def listed(**params):
        return [event.type for event in api.events.list(params)]

    assert listed(type="charge.succeeded") == ["charge.succeeded"]
    assert listed(type="charge.*") == ["charge.succeeded"]
    assert listed(types=["charge.succeeded", "customer.created"]) == [
        "charge.succeeded",
        "customer.created",
    ]


@pytest.mark.parametrize(
    "params",
    [{"type": "charge.failed", "types": ["charge.failed"]}, {"types": ["charge.failed"] * 21}],
)
def test_invalid_filters_by_type_are_refused(api, params):
    with pytest.raises(stripe.InvalidRequestError, match="You may"):
        api.events.list(params)


def test_events_are_kept_for_thirty_days(fake, api, customer):
    event = api.events.list().data[0]
    fake.advance(30 * DAY - 60)
    assert api.events.retrieve(event.id).id == event.id

    fake.advance(61)

    assert api.events.list().data == []
    with pytest.raises(stripe.InvalidRequestError) as caught:
        api.events.retrieve(event.id)
    assert caught.value.http_status == 404


def test_the_clock_cannot_go_back(fake):
    with pytest.raises(ValueError, match="must not be negative"):
        fake.advance(-1)
