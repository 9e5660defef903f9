"""``python -m demo``, as a newcomer runs it: another process, with a database of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from aa_stripe.testing import FakeStripe, Fault

ROOT = Path(__file__).resolve().parent.parent.parent

# Stripe's ids are other ones each time; a plan's is the row's uuid, a coupon's has no prefix.
AN_ID = re.compile(r"\b(cus|ch|re|sub)_\w+|(?<=a month, )[\w-]+|(?<=once, )\w+")
A_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def run_demo(*arguments, **environment):
    """The demo in a process of its own, with no key but one that ``environment`` names."""
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
    """The demo on its own offline Stripe."""
    return run_demo()


def run_demo_on(account, key="sk_test_51abc"):
    """The demo with a key; it knows ``account`` by its URL only, as it knows the real Stripe."""
    with account.serve() as url:
        return run_demo(STRIPE_API_KEY=key, STRIPE_API_BASE=url)


@pytest.fixture
def account():
    return FakeStripe()


@pytest.fixture(scope="module")
def demo_on_account():
    """The demo with a test key, and the account of that key."""
    account = FakeStripe()
    return run_demo_on(account), account


def story_of(ran):
    """What the demo told after the heading that names its Stripe, without what changes."""
    return A_DATE.sub("", AN_ID.sub("", ran.stdout)).split("\n\n1. ", 1)[1]


def shortened(id):
    return f"{id[1]}_..." if id[1] else "..."


def objects(account, kind):
    return account.account.all(kind)


def test_it_ends_well_and_quietly(demo):
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
def test_it_says_what_happened(demo, line):
    text = A_DATE.sub("(date)", AN_ID.sub(shortened, demo.stdout))
    told = [it.strip() for it in text.splitlines()]

    assert told.count(line) == 1


def test_it_leaves_nothing_in_the_folder(demo):
    assert not (ROOT / "demo.sqlite3").exists()


def test_with_a_test_key_it_does_the_same_on_that_account(demo, demo_on_account):
    ran, _account = demo_on_account

    assert (ran.returncode, ran.stderr) == (0, "")
    assert story_of(ran) == story_of(demo)


def test_it_creates_on_the_account_what_it_says_before(demo_on_account):
    ran, account = demo_on_account

    announced, _ = ran.stdout.split("\n\n1. ", 1)
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


def test_it_creates_the_subscription_that_it_says_before(demo_on_account):
    ran, account = demo_on_account

    announced, _ = ran.stdout.split("\n\n1. ", 1)
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
def test_a_key_that_is_no_secret_test_key_is_refused(account, key):
    ran = run_demo_on(account, key)

    assert ran.returncode == 2
    assert "STRIPE_API_KEY is not a test key" in ran.stderr
    assert key not in ran.stdout + ran.stderr
    assert account.requests == []


def test_a_stripe_that_does_not_answer_is_told_in_a_sentence(account):
    account.fail_next("*", Fault.RATE_LIMITED, times=None)

    ran = run_demo_on(account)

    assert ran.returncode == 1
    assert "The demo ends here." in ran.stderr
    assert "Traceback" not in ran.stderr


def test_what_is_not_as_expected_ends_it_with_status_1(account):
    def refund_everything(request, answer):
        if (request.method, request.path) == ("POST", "/v1/refunds"):
            [made] = objects(account, "refund")
            account.dashboard_refund(made["charge"])

    account.after_request.append(refund_everything)

    ran = run_demo_on(account)

    assert ran.returncode == 1
    assert "Not as expected: what Stripe refunded is 2000 and should be 500." in ran.stderr
    assert "All of this was checked" not in ran.stdout


def test_a_subscription_that_stripe_does_not_end_with_its_period_ends_it_with_status_1(account):
    def go_on(request, answer):
        if request.params.get("cancel_at_period_end"):
            [made] = objects(account, "subscription")
            made["cancel_at_period_end"] = False

    account.after_request.append(go_on)

    ran = run_demo_on(account)

    assert ran.returncode == 1
    assert "Not as expected: cancel_at_period_end is False and should be True." in ran.stderr
