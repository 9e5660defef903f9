"""Migration 0031 gives rows of 0.14 the identity that ``save()`` gives new ones."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection
from django.db.models import QuerySet

from aa_stripe.migrations import _rows
from aa_stripe.models import StripeCoupon
from tests.support.coupons import rows

pytestmark = pytest.mark.django_db

migration = import_module("aa_stripe.migrations.0031_fill_coupon_identity")

CREATED = datetime(2019, 9, 6, 16, 23, 5, tzinfo=timezone.utc)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(_rows, "BATCH", 3)


def of_0_14(coupon_id="SALE10", created=CREATED, **fields):
    return StripeCoupon(
        coupon_id=coupon_id,
        created=created,
        **{"duration": "once", "is_created_at_stripe": True, **fields},
    )


def identity_of(coupon_id, created, livemode):
    """Return the identity that ``save()`` gives."""
    coupon = of_0_14(coupon_id, created, livemode=livemode)
    coupon.identify()
    return coupon.identity


def store(*coupons):
    return StripeCoupon.objects.bulk_create(coupons)


def migrate():
    migration.fill_coupon_identity(apps, SimpleNamespace(connection=connection))


def identified():
    return list(rows().exclude(identity=None).values_list("pk", flat=True))


def test_each_coupon_gets_the_identity_that_save_gives():
    store(
        of_0_14(),
        of_0_14(created=CREATED + timedelta(seconds=1)),
        of_0_14(livemode=True),
        of_0_14("sale10"),
        of_0_14("SALE10 ", is_deleted=True),
        of_0_14("über/折扣"),
        of_0_14(""),
    )

    migrate()

    for row in rows():
        assert row.identity == identity_of(row.coupon_id, row.created, row.livemode)
    assert rows().count() == len(set(rows().values_list("identity", flat=True))) == 7


def test_only_the_newest_of_duplicate_rows_gets_an_identity():
    twins = store(of_0_14(), of_0_14(name="second"), *(of_0_14(str(n)) for n in range(4)))
    [newest] = store(of_0_14(name="third"))

    migrate()

    assert rows().count() == 7
    assert set(identified()) == {row.pk for row in [*twins[2:], newest]}
    assert [row.name for row in rows(coupon_id="SALE10")] == ["", "second", "third"]


def test_migrating_again_changes_nothing():
    store(*(of_0_14() for _ in range(5)), of_0_14("OTHER"))
    migrate()
    before = list(rows().values())

    migrate()

    assert list(rows().values()) == before


@pytest.mark.parametrize("time", [1, 2, 3])
def test_a_killed_migration_can_be_continued(monkeypatch, time):
    store(*(of_0_14(str(number % 4)) for number in range(10)))
    undisturbed = list(rows().order_by("-pk").values_list("pk", flat=True)[:4])
    times = iter(range(1, 100))

    def dying(self, *args):
        if next(times) == time:
            raise KeyboardInterrupt
        return bulk_update(self, *args)

    bulk_update = QuerySet.bulk_update
    with monkeypatch.context() as patch:
        patch.setattr(QuerySet, "bulk_update", dying)
        with pytest.raises(KeyboardInterrupt):
            migrate()

    migrate()

    assert set(identified()) == set(undisturbed)


def test_rows_that_were_never_at_stripe_get_no_identity():
    store(of_0_14(is_created_at_stripe=False))

    migrate()

    assert identified() == []


def test_the_identity_is_the_same_without_time_zones(settings):
    settings.USE_TZ, settings.TIME_ZONE = False, "Asia/Tokyo"
    naive = CREATED.astimezone(timezone(timedelta(hours=9))).replace(tzinfo=None)

    assert identity_of("A", naive, False) == identity_of("A", CREATED, False)
    assert migration.identity_of("A", naive, False) == identity_of("A", CREATED, False)
