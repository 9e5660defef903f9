"""Each combination of ``USE_TZ`` and three time zones: of Greenwich, east and west of it."""

from __future__ import annotations

from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest
from django.apps import apps
from django.conf import settings as django_settings

ZONES = ["UTC", "Asia/Tokyo", "America/New_York"]

#: 01:30 in New York for the second time that night, in seconds since 1970.
REPEATED_HOUR = int(datetime(2027, 11, 7, 6, 30, tzinfo=timezone.utc).timestamp())


@pytest.fixture(autouse=True, params=[True, False], ids=["aware", "naive"])
def use_tz(request, settings):
    settings.USE_TZ = request.param
    return request.param


@pytest.fixture(autouse=True, params=ZONES)
def zone(request, settings, use_tz):
    settings.TIME_ZONE = request.param
    return request.param


@pytest.fixture(autouse=True)
def forgotten_defaults():
    """Forget the default of each ``updated``, which its field computes once in a process."""
    forget_defaults()
    yield
    forget_defaults()


def forget_defaults():
    for model in apps.get_app_config("aa_stripe").get_models():
        for field in model._meta.fields:
            vars(field).pop("_default", None)


@pytest.fixture(autouse=True)
def without_rate_limit(settings):
    settings.STRIPE_REQUESTS_PER_SECOND = 1_000_000


@pytest.fixture(params=["now", "in the repeated hour"])
def moment(request, fake):
    """The time at Stripe, in seconds since 1970."""
    if request.param != "now":
        fake.advance(REPEATED_HOUR - fake.now)
    return fake.now


def stored_time(seconds):
    """Return the datetime that a row has for the moment: naive local time without ``USE_TZ``."""
    aware = datetime.fromtimestamp(seconds, tz=timezone.utc)
    if django_settings.USE_TZ:
        return aware
    local = aware.astimezone(ZoneInfo(django_settings.TIME_ZONE))
    return local.replace(tzinfo=None, fold=0)


def is_recent(time):
    """Return whether the row's time is that of the last minute."""
    now = datetime.now() if time.tzinfo is None else datetime.now(timezone.utc)  # noqa: DTZ005
    return abs((now - time).total_seconds()) < 60
