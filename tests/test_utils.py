"""Stripe's timestamps are converted correctly in every time zone."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aa_stripe.utils import timestamp_to_timezone_aware_date

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


@given(st.integers(min_value=0, max_value=253402300799))
def test_the_datetime_can_be_converted_back_to_the_timestamp(seconds):
    moment = timestamp_to_timezone_aware_date(seconds)

    assert (moment - EPOCH) // timedelta(seconds=1) == seconds
