from __future__ import annotations

import pytest
import stripe


def test_an_empty_value_removes_a_key(api, customer):
    api.customers.update(customer.id, {"metadata": {"a": "1", "b": "2"}})

    updated = api.customers.update(customer.id, {"metadata": {"a": ""}})

    assert updated.metadata.to_dict() == {"b": "2"}


def test_empty_metadata_removes_all_keys(api, customer):
    api.customers.update(customer.id, {"metadata": {"a": "1"}})

    assert api.customers.update(customer.id, {"metadata": ""}).metadata.to_dict() == {}


def test_metadata_of_the_maximum_size_is_accepted(api):
    full = {f"{number:040}": "x" * 500 for number in range(50)}

    assert api.customers.create({"metadata": full}).metadata.to_dict() == full


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({str(number): "x" for number in range(51)}, "up to 50 keys"),
        ({"k" * 41: "x"}, "keys can have up to 40 characters"),
        ({"k": "x" * 501}, "values can have up to 500 characters"),
    ],
)
def test_metadata_above_the_maximum_size_is_refused(api, metadata, message):
    with pytest.raises(stripe.InvalidRequestError, match=message) as caught:
        api.customers.create({"metadata": metadata})

    assert caught.value.http_status == 400


def test_metadata_merged_by_an_update_must_not_exceed_the_maximum_size(api, customer):
    api.customers.update(customer.id, {"metadata": {f"a{number}": "x" for number in range(50)}})

    with pytest.raises(stripe.InvalidRequestError, match="you've set 51"):
        api.customers.update(customer.id, {"metadata": {"one_more": "x"}})
