from __future__ import annotations

import pytest

from tests.testing.conftest import refusal_of, types_of


def tax_rate_params(**changes):
    return {"display_name": "VAT", "percentage": 19, "inclusive": False, **changes}


def test_a_tax_rate_is_created_and_changed(fake, api):
    rate = api.tax_rates.create(tax_rate_params(percentage=8.25, metadata={"a": "1"}))

    changed = api.tax_rates.update(rate.id, {"active": False, "display_name": "Tax"})

    assert (rate.percentage, rate.inclusive, rate.active) == (8.25, False, True)
    assert (changed.active, changed.display_name, changed.metadata.a) == (False, "Tax", "1")
    assert api.tax_rates.retrieve(rate.id).display_name == "Tax"
    assert types_of(fake) == ["tax_rate.created", "tax_rate.updated"]


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"percentage": -1}, "percentage"),
        ({"percentage": 100.01}, "percentage"),
        ({"percentage": "7.12345"}, "percentage"),
        ({"percentage": "NaN"}, "percentage"),
        ({"inclusive": "maybe"}, "inclusive"),
        ({"country_of_birth": "DE"}, "country_of_birth"),
    ],
)
def test_a_tax_rate_with_invalid_parameters_is_refused(api, changes, param):
    assert refusal_of(api.tax_rates.create, tax_rate_params(**changes)).param == param


@pytest.mark.parametrize("percentage", [0, 100, 7.1234])
def test_the_smallest_and_largest_percentages_are_accepted(api, percentage):
    assert api.tax_rates.create(tax_rate_params(percentage=percentage)).percentage == percentage


def test_percentage_and_inclusive_cannot_be_changed(api):
    rate = api.tax_rates.create(tax_rate_params())

    assert refusal_of(api.tax_rates.update, rate.id, {"percentage": 5}).code == "parameter_unknown"
    assert refusal_of(api.tax_rates.update, rate.id, {"inclusive": True}).code == (
        "parameter_unknown"
    )


def test_tax_rates_are_listed(fake, api):
    first = api.tax_rates.create(tax_rate_params())
    fake.advance(60)
    second = api.tax_rates.create(tax_rate_params(inclusive=True))
    api.tax_rates.update(first.id, {"active": False})

    def listed(**params):
        return [item.id for item in api.tax_rates.list(params).data]

    assert listed() == [second.id, first.id]
    assert listed(active=True) == [second.id]
    assert listed(inclusive=False) == [first.id]
    assert listed(created={"gt": first.created}) == [second.id]
    assert listed(active=True, inclusive=False) == []
