"""Real processes, on the database of this run: killed in the middle, or several at once."""

from __future__ import annotations

from functools import partial

import pytest
import stripe

from aa_stripe.jobs import refresh_coupons
from aa_stripe.models import StripeCoupon
from tests.support.coupons import (
    CREATE,
    DELETE,
    LIST,
    RETRIEVE,
    UPDATE,
    at_stripe,
    make_coupon,
    rows,
)
from tests.support.processes import TIMEOUT, run_killed
from tests.support.rows import row_of

at_each_moment = pytest.mark.parametrize("moment", ["before", "after"])


@pytest.fixture
def start(start_module, served):
    """A function that starts a process, which works on coupons."""
    return partial(start_module, "tests.coupons.child", served.url)


@at_each_moment
def test_a_coupon_whose_process_was_killed_is_made_once(fake, start, moment):
    run_killed(fake, partial(start, "make"), CREATE, moment)
    assert not rows().exists()

    make_coupon()

    [there], [row] = at_stripe(fake), rows()
    assert row.created.timestamp() == there["created"]


def test_a_coupon_whose_process_was_killed_is_found_by_the_next_refresh(fake, start):
    run_killed(fake, partial(start, "make"), CREATE, "after")

    refresh_coupons()

    assert rows().get().amount_off == 10


@at_each_moment
@pytest.mark.parametrize("endpoint", [RETRIEVE, UPDATE])
def test_an_edit_whose_process_was_killed_can_be_made_again(fake, start, endpoint, moment):
    coupon = make_coupon()
    run_killed(fake, partial(start, "edit"), endpoint, moment)

    assert start("edit").communicate(timeout=TIMEOUT)[0] == "done\n"

    assert row_of(coupon).metadata == at_stripe(fake)[0]["metadata"] == {"a": "b"}


@at_each_moment
@pytest.mark.parametrize("endpoint", [RETRIEVE, DELETE])
def test_a_deletion_whose_process_was_killed_can_be_made_again(fake, start, endpoint, moment):
    coupon = make_coupon()
    run_killed(fake, partial(start, "delete"), endpoint, moment)
    assert not row_of(coupon).is_deleted

    assert start("delete").communicate(timeout=TIMEOUT)[0] == "done\n"

    assert row_of(coupon).is_deleted
    assert at_stripe(fake) == []


def test_a_refresh_that_was_killed_has_deleted_nothing(fake, start):
    coupon = make_coupon()
    stripe.Coupon.delete("SALE10")
    run_killed(fake, partial(start, "refresh"), LIST, "after")
    assert not row_of(coupon).is_deleted

    refresh_coupons()

    assert row_of(coupon).is_deleted


def test_processes_that_make_the_same_coupon_at_once_make_one(fake, start):
    children = [start("make") for _ in range(3)]

    outputs = [child.communicate(timeout=TIMEOUT)[0] for child in children]

    assert set(outputs) <= {"done\n", "refused: StripeCouponAlreadyExists\n"}
    assert "done\n" in outputs
    assert len(at_stripe(fake)) == rows().count() == 1


def test_two_refreshes_at_once_store_each_coupon_once(fake, start):
    for number in range(150):
        stripe.Coupon.create(id=f"C{number}", duration="once", percent_off=5)
    children = [start("refresh") for _ in range(2)]

    outputs = [child.communicate(timeout=TIMEOUT)[0] for child in children]

    assert outputs == ["done\n", "done\n"]
    assert StripeCoupon.objects.count() == rows().count() == 150
