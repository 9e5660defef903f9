"""``python -m demo`` in another process and with its own database, as a new user runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from aa_stripe.testing import FakeStripe, Fault

ROOT = Path(__file__).resolve().parent.parent.parent

# Stripe's ids differ in each run; a plan's id is the row's uuid, a coupon's has no prefix.
AN_ID = re.compile(r"\b(cus|ch|re|sub)_\w+|(?<=a month, )[\w-]+|(?<=once, )\w+")
A_DATE = re.compile(r"\d{4}-\d\d-\d\d")

pytestmark = pytest.mark.slow  # each starts the demo as a process


def run_demo(*arguments, **environment):
    """Run the demo in another process; the only key is the one in ``environment``, if any."""
    inherited = {name: it for name, it in os.environ.items() if not name.startswith("STRIPE_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "demo", *arguments],
        cwd=ROOT,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def demo():
    """The finished demo, which ran on its own offline Stripe."""
    return run_demo()


def run_demo_on(account, key="sk_test_51abc"):
    """Run the demo with a key on ``account``, which it calls by its URL like the real Stripe."""
    with account.serve() as url:
        return run_demo(STRIPE_API_KEY=key, STRIPE_API_BASE=url)


@pytest.fixture
def account():
    return FakeStripe()


@pytest.fixture(scope="module")
def demo_on_account():
    """The finished demo, which ran with a test key, and the account of that key."""
    account = FakeStripe()
    return run_demo_on(account), account


def comparable_output(finished):
    """Return the output after the heading that names the account, without ids and dates."""
    return A_DATE.sub("", AN_ID.sub("", finished.stdout)).split("\n\n1. ", 1)[1]


def shortened(id):
    return f"{id[1]}_..." if id[1] else "..."


def objects(account, kind):
    return account.account.all(kind)


def test_the_demo_exits_with_0_and_prints_no_error(demo):
    assert (demo.returncode, demo.stderr) == (0, "")


@pytest.mark.parametrize(
    "line",
    [
        "Ann: visa ending in 4242 saved, cus_...",
        "Bob: visa ending in 0341 saved, cus_...",
        "Ann: 20.00 USD collected, ch_...",
        "Bob: 35.00 USD not collected, card_declined",
        "charge_stripe: collected: 1 (12.50 USD)",
        "Ann: 12.50 USD collected, ch_...",
        "Ann: 5.00 USD refunded, 15.00 USD kept, re_...",
        "Plan: 40.00 USD a month, ...",
        "Coupon: 25 % off, once, ...",
        "Ann: 30.00 USD collected, active, sub_...",
        "Ann: active, and ends on (date)",
        "Webhooks: 64 deliveries, 32 events stored, each applied once",
        "Ann: 20.00 USD refunded, ch_...",
        "check_pending_webhooks: missing: 1, stored: 32, applied: 1",
        'Coupon: now "aa_stripe demo, renamed"',
    ],
)
def test_the_demo_prints_each_step(demo, line):
    text = A_DATE.sub("(date)", AN_ID.sub(shortened, demo.stdout))
    printed = [it.strip() for it in text.splitlines()]

    assert printed.count(line) == 1


def test_the_demo_leaves_no_database_in_the_folder(demo):
    assert not (ROOT / "demo.sqlite3").exists()


def test_the_demo_with_a_test_key_prints_the_same(demo, demo_on_account):
    finished, _account = demo_on_account

    assert (finished.returncode, finished.stderr) == (0, "")
    assert comparable_output(finished) == comparable_output(demo)


def test_the_demo_creates_the_announced_payments_on_the_account(demo_on_account):
    finished, account = demo_on_account

    announced, _ = finished.stdout.split("\n\n1. ", 1)
    assert len(objects(account, "customer")) == len(objects(account, "payment_method")) == 2
    assert "2 customers, each with one of Stripe's test cards" in announced
    payments = {(it["amount"], it["status"]) for it in objects(account, "payment_intent")}
    assert payments == {
        (20_00, "succeeded"),
        (35_00, "requires_payment_method"),
        (12_50, "succeeded"),
        (30_00, "succeeded"),
    }
    assert len(objects(account, "payment_intent")) == 4
    assert "3 payments (20.00, 35.00 and 12.50 USD), of which the second is declined" in announced
    assert [it["amount"] for it in objects(account, "refund")] == [5_00, 15_00]
    assert "2 refunds (5.00 and 15.00 USD)" in announced


def test_the_demo_creates_the_announced_subscription_on_the_account(demo_on_account):
    finished, account = demo_on_account

    announced, _ = finished.stdout.split("\n\n1. ", 1)
    [plan], [product] = objects(account, "plan"), objects(account, "product")
    assert (plan["amount"], plan["interval"], plan["product"]) == (40_00, "month", product["id"])
    assert "1 plan of 40.00 USD a month, with its product" in announced
    [coupon] = objects(account, "coupon")
    assert (coupon["percent_off"], coupon["duration"]) == (25, "once")
    assert "1 coupon (25 % off, once)" in announced
    assert coupon["name"] == "aa_stripe demo, renamed"
    [subscription], [invoice] = objects(account, "subscription"), objects(account, "invoice")
    assert (subscription["status"], subscription["cancel_at_period_end"]) == ("active", True)
    assert (invoice["subtotal"], invoice["amount_paid"]) == (40_00, 30_00)
    assert "1 subscription with that coupon, which pays 30.00 USD and is canceled" in announced
    assert objects(account, "tax_rate") == []


@pytest.mark.parametrize("key", ["sk_live_51abc", "rk_live_51abc", "pk_test_51abc", "whsec_abc"])
def test_a_key_that_is_not_a_secret_test_key_is_rejected(account, key):
    finished = run_demo_on(account, key)

    assert finished.returncode == 2
    assert "STRIPE_API_KEY is not a test key" in finished.stderr
    assert key not in finished.stdout + finished.stderr
    assert account.requests == []


def test_an_outage_of_stripe_is_reported_without_a_traceback(account):
    account.fail_next("*", Fault.RATE_LIMITED, times=None)

    finished = run_demo_on(account)

    assert finished.returncode == 1
    assert "The demo ends here." in finished.stderr
    assert "Traceback" not in finished.stderr


def test_an_unexpected_refund_stops_the_demo_with_status_1(account):
    def refund_everything(request, response):
        if (request.method, request.path) == ("POST", "/v1/refunds"):
            [existing] = objects(account, "refund")
            account.dashboard_refund(existing["charge"])

    account.after_request.append(refund_everything)

    finished = run_demo_on(account)

    assert finished.returncode == 1
    assert "Not as expected: what Stripe refunded is 2000 and should be 500." in finished.stderr
    assert "All of this was checked" not in finished.stdout


def test_a_cancellation_that_stripe_does_not_keep_stops_the_demo_with_status_1(account):
    def revoke_cancellation(request, response):
        if request.params.get("cancel_at_period_end"):
            [existing] = objects(account, "subscription")
            existing["cancel_at_period_end"] = False

    account.after_request.append(revoke_cancellation)

    finished = run_demo_on(account)

    assert finished.returncode == 1
    assert "Not as expected: cancel_at_period_end is False and should be True." in finished.stderr
