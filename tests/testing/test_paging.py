from __future__ import annotations

import pytest
import stripe


@pytest.fixture
def ids(api):
    """The ids of twelve customers, oldest first, created within a second or two."""
    return [api.customers.create({"name": str(number)}).id for number in range(12)]


def listed(api, **params):
    return [customer.id for customer in api.customers.list(params)]


def test_a_page_has_ten_objects_newest_first(api, ids):
    page = api.customers.list()

    assert [customer.id for customer in page] == ids[:1:-1]
    assert page.has_more
    assert page.url == "/v1/customers"


def test_starting_after_gives_the_older_page(api, ids):
    page = api.customers.list({"limit": 5, "starting_after": ids[5]})

    assert [customer.id for customer in page] == ids[4::-1]
    assert not page.has_more


def test_ending_before_gives_the_newer_page_next_to_the_cursor(api, ids):
    page = api.customers.list({"limit": 3, "ending_before": ids[5]})

    assert [customer.id for customer in page] == [ids[8], ids[7], ids[6]]
    assert page.has_more


def test_the_sdk_pages_forward_through_all(api, ids):
    pages = api.customers.list({"limit": 5}).auto_paging_iter()

    assert [customer.id for customer in pages] == ids[::-1]


def test_the_sdk_pages_backward_from_oldest_to_newest(api, ids):
    pages = api.customers.list({"limit": 5, "ending_before": ids[0]}).auto_paging_iter()

    assert [customer.id for customer in pages] == ids[1:]


def test_a_page_may_have_up_to_a_hundred_objects(api, ids):
    assert len(listed(api, limit=100)) == 12


@pytest.mark.parametrize("limit", [0, -1, 101])
def test_a_limit_out_of_bounds_is_refused(api, limit):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        listed(api, limit=limit)

    assert (caught.value.param, caught.value.code) == ("limit", "parameter_invalid_integer")


@pytest.mark.parametrize("cursor", ["starting_after", "ending_before"])
def test_an_unknown_cursor_is_refused(api, ids, cursor):
    with pytest.raises(stripe.InvalidRequestError, match="No such customer: 'cus_none'") as caught:
        listed(api, **{cursor: "cus_none"})

    assert (caught.value.http_status, caught.value.code) == (400, "resource_missing")
    assert caught.value.param == cursor


def test_two_cursors_are_refused(api, ids):
    with pytest.raises(stripe.InvalidRequestError, match="only specify one"):
        listed(api, starting_after=ids[0], ending_before=ids[1])


def test_a_list_can_be_filtered_by_time(fake, api):
    early = api.customers.create().id
    fake.advance(100)
    late = api.customers.create()
    moment = late.created

    assert listed(api, created=moment) == [late.id]
    assert listed(api, created={"gte": moment}) == [late.id]
    assert listed(api, created={"gt": moment}) == []
    assert listed(api, created={"lt": moment}) == [early]
    assert listed(api, created={"lte": moment}) == [late.id, early]


def test_a_cursor_may_be_outside_of_the_filtered_time(fake, api):
    early = api.customers.create().id
    fake.advance(100)
    late = api.customers.create()

    assert listed(api, created={"lt": late.created}, starting_after=late.id) == [early]


def test_objects_of_the_same_second_keep_their_order(fake, api, ids):
    assert listed(api, limit=100) == ids[::-1]
