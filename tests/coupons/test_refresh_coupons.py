"""``refresh_coupons`` updates the rows from Stripe's listing, page by page."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
import stripe
from django.db import DatabaseError, connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from aa_stripe import gateway
from aa_stripe.jobs import coupons as job
from aa_stripe.jobs import refresh_coupons
from aa_stripe.models import StripeCoupon, StripeCustomer
from aa_stripe.testing import FakeStripe, Fault
from tests.jobs.conftest import run, without_rate_limit  # noqa: F401 (fixtures)
from tests.support.builders import make_customer, make_user
from tests.support.coupons import (
    LIST,
    TEN_DOLLARS,
    at_stripe,
    make_coupon,
    make_live,
    new_coupon,
    rows,
)
from tests.support.requests import calls, when_done
from tests.support.rows import row_of, values_of
from tests.support.statements import statements

pytestmark = pytest.mark.django_db

THEIRS = {"object": "coupon", "duration": "once", "percent_off": 5.0, "valid": True}


@pytest.fixture
def many(db, fake):
    """``many(250)``: coupons created at Stripe without rows here."""

    def many(number, **fields):
        return [
            fake.account.add("coupon", **{**THEIRS, "id": f"C{index:05}", **fields})
            for index in range(number)
        ]

    return many


def ids(**filters):
    return set(rows(**filters).values_list("coupon_id", flat=True))


def on_page(fake, number, act):
    """Call ``act()`` once the page has been read at Stripe."""
    seen = []

    def hook(request, response):
        if request.path == "/v1/coupons" and request.method == "GET":
            seen.append(request)
            if len(seen) == number:
                act()

    fake.after_request.append(hook)


# Updating from Stripe


def test_a_coupon_made_at_stripe_gets_a_row(fake, run):  # noqa: F811
    stripe.Coupon.create(
        id="THEIRS", duration="once", percent_off=12.5, metadata={"a": "b"}, name="Spring"
    )

    ran = run("refresh_coupons")

    row = rows().get()
    assert (row.coupon_id, row.percent_off, row.name) == ("THEIRS", Decimal("12.5"), "Spring")
    assert (row.metadata, row.is_created_at_stripe, row.valid) == ({"a": "b"}, True, True)
    assert row.created.timestamp() == at_stripe(fake)[0]["created"]
    assert row.stripe_response == at_stripe(fake)[0]
    assert (ran.status, ran.stdout) == (0, "created: 1\n")


def test_a_row_created_by_the_run_equals_one_created_by_save(fake):
    stripe.Coupon.create(id="THEIRS", duration="once", amount_off=1050, currency="eur")
    refresh_coupons()
    made = rows().values().get()
    rows()._raw_delete("default")

    StripeCoupon(coupon_id="THEIRS").save(force_retrieve=True)

    saved = rows().values().get()
    assert {name for name in saved if saved[name] != made[name]} <= {"id", "uuid", "updated"}


def test_changes_at_stripe_are_stored(coupon, fake, run):  # noqa: F811
    stripe.Coupon.modify("SALE10", metadata={"a": "b"}, name="Spring")
    fake.account.find("coupon", "SALE10")["times_redeemed"] = 3
    before = coupon.updated

    ran = run("refresh_coupons")

    row = row_of(coupon)
    assert (row.metadata, row.name, row.times_redeemed) == ({"a": "b"}, "Spring", 3)
    assert row.updated > before
    assert ran.stdout == "updated: 1\n"


def test_a_coupon_that_did_not_change_is_not_written(coupon, run):  # noqa: F811
    make_coupon(coupon_id="HALF", amount_off=None, percent_off=Decimal("33.3"))
    before = list(rows().values())

    ran = run("refresh_coupons")

    assert ran.stdout == "unchanged: 2\n"
    assert list(rows().values()) == before


def test_a_coupon_deleted_at_stripe_is_marked_as_deleted(coupon, run):  # noqa: F811
    kept = make_coupon(coupon_id="KEPT")
    stripe.Coupon.delete("SALE10")

    ran = run("refresh_coupons")

    assert row_of(coupon).is_deleted
    assert not row_of(kept).is_deleted
    assert ran.stdout == f"unchanged: 1\n{job.DELETED}: 1\n"


def test_the_last_coupon_is_marked_as_deleted_too(coupon, fake):
    stripe.Coupon.delete("SALE10")

    refresh_coupons()

    assert row_of(coupon).is_deleted


def test_a_coupon_whose_id_was_reused_is_marked_and_the_new_one_stored(
    coupon,
    fake,
    run,  # noqa: F811
):
    stripe.Coupon.delete("SALE10")
    fake.advance(60)
    stripe.Coupon.create(id="SALE10", percent_off=5, duration="once")

    ran = run("refresh_coupons")

    assert row_of(coupon).is_deleted
    assert StripeCoupon.objects.get().percent_off == 5
    assert rows().count() == 2
    assert ran.stdout == f"created: 1\n{job.DELETED}: 1\n"


def test_a_coupon_wrongly_marked_as_deleted_is_restored(coupon, run):  # noqa: F811
    rows().update(is_deleted=True)

    run("refresh_coupons")

    assert not row_of(coupon).is_deleted


def test_duplicate_rows_of_0_14_are_all_refreshed(coupon, fake):
    copied = {name: getattr(coupon, name) for name in ("coupon_id", "created", "duration")}
    [twin] = StripeCoupon.objects.bulk_create([StripeCoupon(**copied, is_created_at_stripe=True)])

    refresh_coupons()
    assert row_of(twin).amount_off == 10
    assert rows().count() == 2

    stripe.Coupon.delete("SALE10")
    refresh_coupons()
    assert not StripeCoupon.objects.exists()


def test_ids_that_look_alike_are_different_coupons(fake):
    alike = {"SALE", "sale", "SALE ", "SALÉ"}
    for coupon_id in alike:
        stripe.Coupon.create(id=coupon_id, duration="once", percent_off=5)

    refresh_coupons()
    stripe.Coupon.delete("sale")
    refresh_coupons()

    assert ids(is_deleted=False) == alike - {"sale"}
    assert ids(is_deleted=True) == {"sale"}


def test_rows_that_were_never_at_stripe_are_skipped(fake):
    local = new_coupon(created=timezone.now() - timedelta(days=1))
    local.save_locally()

    refresh_coupons()

    assert not row_of(local).is_deleted


# Live and test mode


def test_rows_of_live_mode_are_not_changed_with_a_test_key(coupon, fake):
    make_live(coupon)
    live = rows().values().get()
    make_coupon(coupon_id="TEST")
    stripe.Coupon.delete("TEST")

    refresh_coupons()

    assert rows(livemode=True).values().get() == live
    assert ids(is_deleted=True) == {"TEST"}


def test_coupons_of_test_and_live_mode_may_have_the_same_id(coupon):
    make_live(coupon)

    refresh_coupons()

    assert rows().count() == 2
    assert set(StripeCoupon.objects.values_list("livemode", flat=True)) == {True, False}


def test_a_live_mode_listing_with_a_test_key_deletes_nothing(coupon, many):
    stripe.Coupon.delete("SALE10")
    many(1, livemode=True)

    refresh_coupons()

    assert not row_of(coupon).is_deleted


# Pages


@pytest.mark.parametrize(("number", "pages"), [(99, 1), (100, 1), (101, 2), (250, 3)])
def test_every_page_is_read(many, fake, run, number, pages):  # noqa: F811
    many(number)

    ran = run("refresh_coupons")

    assert ran.stdout == f"created: {number}\n"
    assert rows().count() == number
    assert calls(fake) == [LIST] * pages


def cost_of_each_page(monkeypatch):
    """Return the number of statements of each page, and of the rest of the run."""
    costs, page = [], job.CouponRefresh._refresh_page

    def counted(self, coupons):
        with CaptureQueriesContext(connection) as captured:
            page(self, coupons)
        costs.append(len(statements(captured)))

    with monkeypatch.context() as patch:
        patch.setattr(job.CouponRefresh, "_refresh_page", counted)
        with CaptureQueriesContext(connection) as captured:
            refresh_coupons()
    return costs, len(statements(captured)) - sum(costs)


def batches(rows_at_once, fields):
    """Return the statements for so many rows; SQLite limits the values of one statement."""
    options = connection.ops.bulk_batch_size(fields, [None] * rows_at_once)
    return -(-rows_at_once // options)


NEW, CHANGED, SAME = "new", "changed", "same"


@pytest.mark.slow
def test_2000_coupons_cost_the_same_for_each_page(many, fake, monkeypatch):
    there = many(2000)
    inserts = batches(100, [it for it in StripeCoupon._meta.concrete_fields if not it.primary_key])
    updates = batches(100, ["pk", "pk", *job.MIRRORED, "updated"])

    costs, rest = {}, {}
    costs[NEW], rest[NEW] = cost_of_each_page(monkeypatch)
    for coupon in there:
        coupon["times_redeemed"] += 1
    costs[CHANGED], rest[CHANGED] = cost_of_each_page(monkeypatch)
    costs[SAME], rest[SAME] = cost_of_each_page(monkeypatch)

    assert rows(times_redeemed=1).count() == 2000
    full_pages, end = 20, [0]  # the listing ends with an empty page, which costs nothing
    assert costs[NEW] == [1 + inserts] * full_pages + end
    assert costs[CHANGED] == [1 + 1 + updates] * full_pages + end
    assert costs[SAME] == [1] * full_pages + end
    assert len(calls(fake)) == 3 * full_pages
    # One finds the newest customers, whose account it must be. At the end of the run, others find
    # the rows that were not listed, 500 at once, except those just written.
    assert rest[NEW] == rest[CHANGED] == 1 + 1
    assert rest[SAME] == 1 + 1 + 4


def test_many_deleted_coupons_are_marked_together(many, fake):
    many(1000)
    refresh_coupons()
    for coupon in at_stripe(fake)[:-1]:
        fake.account.remove("coupon", coupon["id"])

    with CaptureQueriesContext(connection) as captured:
        report = refresh_coupons()

    assert report.done[job.DELETED] == 999
    assert rows(is_deleted=False).count() == 1
    account, page, keys, marks = 1, 1, 1 + 2, 10
    assert len(statements(captured)) <= account + page + keys + marks


# Failures


def test_with_the_key_of_another_account_nothing_is_written(fake, run):  # noqa: F811
    make_customer()
    coupon = make_coupon()
    with FakeStripe() as other:
        other.dashboard_create_coupon(id="THEIRS", duration="once", percent_off=5)

        ran = run("refresh_coupons")

    assert ran.status == 1
    assert "another account or mode" in ran.stdout
    assert values_of(coupon) == values_of(rows().get())
    assert not row_of(coupon).is_deleted


def test_customers_of_another_account_among_the_newest_do_no_harm(fake, run):  # noqa: F811
    make_customer()
    StripeCustomer.objects.create(user=make_user(), stripe_customer_id="cus_of_another_account")
    coupon = make_coupon()
    stripe.Coupon.delete("SALE10")

    assert run("refresh_coupons").status == 0

    assert row_of(coupon).is_deleted


def test_an_interrupted_listing_deletes_nothing(many, fake, run):  # noqa: F811
    gone = make_coupon()
    stripe.Coupon.delete("SALE10")
    many(150)
    on_page(fake, 1, lambda: fake.fail_next(LIST, Fault.ERROR_500_BEFORE))

    ran = run("refresh_coupons")

    assert ran.status == 1
    assert "created: 100\n" in ran.stdout
    assert "Exception happened\nThe listing of Stripe's coupons\nTraceback " in ran.stdout
    assert not row_of(gone).is_deleted
    assert rows().count() == 101


@pytest.mark.parametrize("fault", [Fault.REQUEST_LOST, Fault.GARBAGE, Fault.RATE_LIMITED])
def test_a_listing_whose_first_request_fails_deletes_nothing(coupon, fake, run, fault):  # noqa: F811
    stripe.Coupon.delete("SALE10")
    fake.fail_next(LIST, fault)

    ran = run("refresh_coupons")

    assert ran.status == 1
    assert not row_of(coupon).is_deleted


@pytest.mark.parametrize("key", ["sk_wrong", ""])
def test_a_refused_api_key_deletes_nothing(coupon, run, settings, key):  # noqa: F811
    settings.STRIPE_API_KEY = key

    ran = run("refresh_coupons")

    assert ran.status == 1
    assert ran.stdout.endswith("failed: 1\n")
    assert not row_of(coupon).is_deleted


def test_a_coupon_in_an_unknown_currency_is_reported_and_does_not_stop_the_run(
    coupon,
    many,
    run,  # noqa: F811
    caplog,
):
    many(1, id="STRANGE", percent_off=None, amount_off=5, currency="xyz")
    many(2)

    ran = run("refresh_coupons")

    assert ran.status == 1
    assert "created: 2\n" in ran.stdout
    assert "Exception happened\nCoupon id: STRANGE\nTraceback " in ran.stdout
    assert ran.stdout.endswith("failed: 1\n")
    assert "Exception happened. Coupon id: STRANGE" in caplog.messages
    assert ids() == {"SALE10", "C00000", "C00001"}


def test_a_row_that_cannot_be_refreshed_is_not_marked_as_deleted(coupon, fake, run):  # noqa: F811
    fake.account.find("coupon", "SALE10")["currency"] = "xyz"

    ran = run("refresh_coupons")

    assert ran.status == 1
    assert not row_of(coupon).is_deleted


@pytest.mark.parametrize("method", ["bulk_create", "bulk_update"])
@pytest.mark.django_db(transaction=True)
def test_a_database_error_of_one_row_does_not_stop_the_others(
    many,
    run,  # noqa: F811
    monkeypatch,
    method,
):
    there = many(3)
    if method == "bulk_update":
        refresh_coupons()
        for coupon in there:
            coupon["name"] = "Spring"
    fail_to_write(monkeypatch, method, "C00001")

    ran = run("refresh_coupons")

    assert ran.status == 1
    assert ran.stdout.endswith("failed: 1\n")
    assert "Exception happened\nCoupon id: C00001\nTraceback " in ran.stdout
    written = {} if method == "bulk_create" else {"name": "Spring"}
    assert ids(is_deleted=False, **written) == {"C00000", "C00002"}


def fail_to_write(monkeypatch, method, coupon_id):
    def failing(self, rows, *args, **kwargs):
        if coupon_id in {row.coupon_id for row in rows}:
            raise DatabaseError("Data too long")
        return original(self, rows, *args, **kwargs)

    original = getattr(QuerySet, method)
    monkeypatch.setattr(QuerySet, method, failing)


# Concurrent changes


def test_a_coupon_created_here_while_listing_is_not_deleted(many, fake, run):  # noqa: F811
    many(150)
    on_page(fake, 1, make_coupon)

    ran = run("refresh_coupons")

    assert ran.status == 0
    assert not rows(is_deleted=True).exists()
    assert rows().count() == 151


def test_a_coupon_that_the_webhook_stores_while_listing_is_not_deleted(many, fake):
    def webhook():
        stripe.Coupon.create(id="NEW", duration="once", percent_off=5)
        StripeCoupon(coupon_id="NEW").save(force_retrieve=True)

    many(150)
    on_page(fake, 1, webhook)

    refresh_coupons()

    assert not rows(is_deleted=True).exists()
    assert "NEW" in ids()


def test_a_coupon_created_at_stripe_while_listing_is_stored_by_the_next_run(many, fake):
    many(150)
    on_page(fake, 1, lambda: stripe.Coupon.create(id="NEW", duration="once", percent_off=5))

    refresh_coupons()
    assert "NEW" not in ids()
    refresh_coupons()

    assert "NEW" in ids()
    assert not rows(is_deleted=True).exists()


def test_a_listed_coupon_that_the_webhook_stores_first_has_one_row(many, run, monkeypatch):  # noqa: F811
    many(3)

    def store(coupons):
        """Store the coupon after the run has read the rows and before it writes them."""
        found = rows_of(coupons)
        monkeypatch.setattr(job, "_rows_of", rows_of)
        StripeCoupon(coupon_id="C00001").save(force_retrieve=True)
        return found

    rows_of = job._rows_of
    monkeypatch.setattr(job, "_rows_of", store)

    ran = run("refresh_coupons")

    assert ran.status == 0
    assert ran.stdout == f"created: 2\nskipped ({job.CHANGED_MEANWHILE}): 1\n"
    assert rows().count() == 3
    assert not rows(is_deleted=True).exists()


def test_an_edit_made_while_listing_is_not_overwritten(coupon, fake, run):  # noqa: F811
    def edit():
        row = row_of(coupon)
        row.metadata = {"a": "b"}
        row.save()

    when_done(fake, LIST, edit)

    ran = run("refresh_coupons")

    assert row_of(coupon).metadata == {"a": "b"}
    assert ran.stdout == f"skipped ({job.CHANGED_MEANWHILE}): 1\n"


def test_an_edit_made_between_reading_and_writing_is_not_overwritten(
    coupon,
    fake,
    run,  # noqa: F811
    monkeypatch,
):
    fake.account.find("coupon", "SALE10")["times_redeemed"] = 3

    def edit_first(rows, *args):
        row = row_of(coupon)
        row.metadata = {"a": "b"}
        row.save()
        return write(rows, *args)

    write = job.write_unchanged
    monkeypatch.setattr(job, "write_unchanged", edit_first)

    ran = run("refresh_coupons")

    assert row_of(coupon).metadata == {"a": "b"}
    assert ran.stdout == f"skipped ({job.CHANGED_MEANWHILE}): 1\n"


def test_a_coupon_deleted_here_while_listing_is_not_restored(coupon, fake):
    when_done(fake, LIST, lambda: row_of(coupon).delete())

    refresh_coupons()

    assert row_of(coupon).is_deleted
    assert rows().count() == 1


def test_a_coupon_whose_id_is_reused_while_listing_stays_deleted(coupon, fake):
    def reuse_the_id():
        row_of(coupon).delete()
        fake.advance(60)
        make_coupon(amount_off=20)

    when_done(fake, LIST, reuse_the_id)

    refresh_coupons()

    assert StripeCoupon.objects.get().amount_off == 20
    assert row_of(coupon).is_deleted


def test_a_row_that_is_removed_while_listing_is_created_again(coupon, fake, run):  # noqa: F811
    when_done(fake, LIST, lambda: rows()._raw_delete("default"))

    ran = run("refresh_coupons")

    assert ran.status == 0
    assert rows().count() == 1


def test_a_row_that_is_saved_before_it_is_marked_is_not_marked(coupon, fake, monkeypatch):
    stripe.Coupon.delete("SALE10")

    def save_first(self, gone):
        rows().update(updated=timezone.now())
        mark(self, gone)

    mark = job.CouponRefresh._mark_deleted
    monkeypatch.setattr(job.CouponRefresh, "_mark_deleted", save_first)

    refresh_coupons()

    assert not row_of(coupon).is_deleted


# Options


def test_a_dry_run_reads_and_writes_nothing(coupon, many, fake, run):  # noqa: F811
    changed = make_coupon(coupon_id="CHANGED")
    fake.account.find("coupon", "CHANGED")["times_redeemed"] = 3
    stripe.Coupon.delete("SALE10")
    many(2)
    before = list(rows().values())
    fake.requests.clear()

    with CaptureQueriesContext(connection) as captured:
        ran = run("refresh_coupons", "--dry-run")

    assert ran.stdout == "".join(
        f"{job.WOULD[what]}: {number}\n"
        for what, number in ((job.CREATED, 2), (job.UPDATED, 1), (job.DELETED, 1))
    )
    assert list(rows().values()) == before
    assert changed in rows()
    assert all(sql.startswith("SELECT") for sql in statements(captured))
    assert calls(fake) == [LIST]


def test_limit_is_the_number_of_coupons_to_read(coupon, many, fake, run):  # noqa: F811
    stripe.Coupon.delete("SALE10")
    many(150)
    fake.requests.clear()

    ran = run("refresh_coupons", "--limit", "2")

    assert ran.stdout == "created: 2\n"
    assert ids() == {"SALE10", "C00149", "C00148"}
    assert not row_of(coupon).is_deleted
    assert calls(fake) == [LIST]


def test_the_rate_option_is_used(coupon, run, monkeypatch):  # noqa: F811
    rates, at_rate = [], job.at_rate
    monkeypatch.setattr(job, "at_rate", lambda rate: rates.append(rate) or at_rate(rate))

    run("refresh_coupons", "--rate", "250")

    assert rates == [250]


def test_each_coupon_is_reported_at_verbosity_2(coupon, run):  # noqa: F811
    ran = run("refresh_coupons", "--verbosity", "2")

    assert ran.stdout == "Coupon id: SALE10: unchanged\nunchanged: 1\n"


def test_a_stopped_run_deletes_nothing(coupon, many, fake):
    stripe.Coupon.delete("SALE10")
    many(1)

    class Stop(job.Watcher):
        def saw(self, label, outcome):
            self.stop_reason = "requested"

    report = refresh_coupons(watcher=Stop())

    assert report.stopped == "requested"
    assert not row_of(coupon).is_deleted


def test_the_listing_comes_from_the_gateway(coupon, monkeypatch):
    monkeypatch.setattr(gateway, "coupons", lambda: iter(()))

    refresh_coupons()

    assert row_of(coupon).is_deleted
    assert TEN_DOLLARS["coupon_id"] == coupon.coupon_id
