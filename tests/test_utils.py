"""Conversions of Stripe's timestamps and of JSON."""

from __future__ import annotations

import copy
import math
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from django.utils.timezone import override
from hypothesis import given
from hypothesis import strategies as st

import aa_stripe
from aa_stripe.utils import (
    TooDeep,
    storable_json,
    timestamp_to_timezone_aware_date,
    to_datetime,
    to_timestamp,
)

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# 2017-10-29 00:30 and 01:30 UTC are both 02:30 in Warsaw, where daylight saving time ends then.
BEFORE_CLOCKS_GO_BACK = 1509237000
AFTER_CLOCKS_GO_BACK = 1509240600


@pytest.fixture
def process_time_zone(monkeypatch):
    """A function that changes the time zone of the process, as a server's environment does."""

    def change(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield change
    monkeypatch.undo()
    time.tzset()


def test_a_timestamp_becomes_an_aware_datetime_in_utc():
    moment = timestamp_to_timezone_aware_date(1496317500)

    assert moment == datetime(2017, 6, 1, 11, 45, tzinfo=timezone.utc)
    assert moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "zone", ["UTC", "Europe/Warsaw", "America/New_York", "Pacific/Chatham", "XYZ+11"]
)
@pytest.mark.parametrize("seconds", [0, BEFORE_CLOCKS_GO_BACK, AFTER_CLOCKS_GO_BACK, 4102444800])
def test_the_time_zone_of_the_process_has_no_effect(process_time_zone, zone, seconds):
    process_time_zone(zone)

    moment = timestamp_to_timezone_aware_date(seconds)

    assert moment == EPOCH + timedelta(seconds=seconds)
    assert moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize("use_tz", [True, False])
def test_the_time_zone_of_the_project_has_no_effect(settings, use_tz):
    settings.USE_TZ = use_tz
    settings.TIME_ZONE = "Asia/Tokyo"

    moment = timestamp_to_timezone_aware_date(BEFORE_CLOCKS_GO_BACK)

    assert moment == datetime(2017, 10, 29, 0, 30, tzinfo=timezone.utc)


def test_an_activated_time_zone_has_no_effect_on_a_naive_time(settings):
    settings.USE_TZ = False
    settings.TIME_ZONE = "Asia/Tokyo"

    with override("America/New_York"):
        moment = to_datetime(0)

        assert moment == datetime(1970, 1, 1, 9)  # noqa: DTZ001
        assert to_timestamp(moment) == 0


@given(st.integers(min_value=0, max_value=253402300799))
def test_the_datetime_can_be_converted_back_to_the_timestamp(seconds):
    moment = timestamp_to_timezone_aware_date(seconds)

    assert (moment - EPOCH) // timedelta(seconds=1) == seconds


def test_one_function_makes_each_date_from_a_timestamp():
    package = Path(aa_stripe.__file__).parent
    product = (it for it in package.rglob("*.py") if "testing" not in it.parts)
    made = {it.name: it.read_text().count("fromtimestamp(") for it in product}

    assert {name: number for name, number in made.items() if number} == {"utils.py": 1}


# JSON

STORABLE = {"a": [1, 0.5, None, True, "ü😀", {}, []], "b": {"c": {"d": "\x01"}}}


def test_json_that_can_be_stored_is_not_copied():
    assert storable_json(STORABLE, without=["secret"], levels=4) is STORABLE


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ({"a": "\0"}, {"a": r"\u0000"}),
        ({"\0": 1}, {r"\u0000": 1}),
        ({"a": ["\ud800"]}, {"a": [r"\ud800"]}),
        ({"a": {"b": math.inf}}, {"a": {"b": "inf"}}),
        ({"a": [{"secret": 1, "b": 2}]}, {"a": [{"b": 2}]}),
        ({"secret": {"a": 1}}, {}),
        ([["secret"]], [["secret"]]),
    ],
)
def test_only_what_changes_is_copied(value, stored):
    same = {"same": [STORABLE]}
    before = copy.deepcopy(value)

    result = storable_json([value, same], without=["secret"])

    assert result == [stored, same]
    assert result[1] is same
    assert value == before


@pytest.mark.parametrize("value", [[[[]]], {"a": {"b": {}}}, [{"a": []}]])
def test_json_may_be_nested_to_a_limit(value):
    assert storable_json(value, levels=3) is value
    with pytest.raises(TooDeep):
        storable_json(value, levels=2)
