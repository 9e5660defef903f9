"""Charges, refunds, declines, faults, kills and a second worker in any order.

Rows and Stripe agree in the end.
"""

from __future__ import annotations

from contextlib import ExitStack, suppress
from datetime import timedelta
from unittest import mock

import pytest
import stripe
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from aa_stripe.exceptions import StripeInternalError, StripeMethodNotAllowed
from aa_stripe.jobs import charge_pending
from aa_stripe.models import StripeCharge, claims
from aa_stripe.models.charge import collect, order, refunding
from aa_stripe.testing import FakeStripe, Fault
from tests.support.builders import make_charge, make_customer
from tests.support.claims import end_all_leases
from tests.support.clock import let_pass, make_due
from tests.support.payments import (
    CANCEL,
    CONFIRM,
    CREATE,
    LIST,
    REFUND,
    REFUNDS,
    RETRIEVE,
    UPDATE,
    authenticate,
    intent_of,
    paid,
    refunds_of,
)
from tests.support.processes import Killed
from tests.support.requests import endpoint_of, when_done

CARDS = [
    "pm_card_visa",
    "pm_card_chargeCustomerFail",
    "pm_card_authenticationRequired",
    "pm_card_pendingRefund",
    "pm_card_fakeProcessing",
]
ENDPOINTS = [CREATE, CONFIRM, RETRIEVE, UPDATE, CANCEL, LIST, REFUND, REFUNDS]
FAULTS = [fault for fault in Fault if fault is not Fault.SLOW]
EXPECTED_ERRORS = (StripeInternalError, StripeMethodNotAllowed, stripe.InvalidRequestError)
#: Requests per second.
FAST = 1_000_000

HALF_A_DAY = timedelta(hours=12, minutes=30)


class Site(RuleBasedStateMachine):
    charges = Bundle("charges")

    @initialize()
    def open_an_account(self):
        self.fake = FakeStripe()
        self.fake.install()
        self.patches = ExitStack()
        for module in (collect, refunding):  # nothing runs at the same time that it could wait for
            self.patches.enter_context(mock.patch.object(module, "PATIENCE", 0.0001))
        self.patches.enter_context(mock.patch.object(claims, "PAUSE", 0))
        self.customer = make_customer(card="pm_card_visa")
        self.user = self.customer.user

    def teardown(self):
        try:
            self.settle()
            self.compare()
        finally:
            self.patches.close()
            self.fake.uninstall()

    # Actions of the site

    @rule(target=charges, amount=st.sampled_from([100, 1000, 99_999]))
    def place_an_order(self, amount):
        return make_charge(self.customer, amount=amount).pk

    @rule(pk=charges)
    def charge(self, pk):
        self.attempt(StripeCharge.charge, pk)

    @rule(pk=charges, amount=st.sampled_from([None, 40, 100, 600]))
    def refund(self, pk, amount):
        self.attempt(StripeCharge.refund, pk, amount)

    @rule(pk=charges, amount=st.sampled_from([200, 1500]), currency=st.sampled_from(["usd", "eur"]))
    def edit(self, pk, amount, currency):
        StripeCharge.objects.filter(pk=pk, is_charged=False).update(
            amount=amount, currency=currency
        )

    @rule(card=st.sampled_from(CARDS))
    def change_the_card(self, card):
        self.customer.add_new_source(card)

    @rule(card=st.sampled_from(CARDS))
    def replace_the_customer(self, card):
        self.customer = make_customer(self.user, card)

    @rule()
    def run_the_command(self):
        make_due()
        charge_pending(rate=FAST)

    # Processes that die, are late, or work at the same time

    @rule(
        pk=charges,
        endpoint=st.sampled_from(ENDPOINTS),
        method=st.sampled_from([StripeCharge.charge, StripeCharge.refund]),
        is_carried_out=st.booleans(),
    )
    def kill_at_a_request(self, pk, endpoint, method, is_carried_out):
        def die(request, response=None):
            if endpoint_of(request) == endpoint:
                raise Killed

        hooks = self.fake.after_request if is_carried_out else self.fake.before_request
        hooks.append(die)
        # A killed process writes nothing more.
        with (
            mock.patch.object(collect, "leave_unknown"),
            mock.patch.object(order, "_postpone"),
            suppress(Killed),
        ):
            self.attempt(method, pk)
        hooks.remove(die)
        end_all_leases()

    @rule(
        pk=charges,
        endpoint=st.sampled_from(ENDPOINTS),
        is_late=st.booleans(),
        works=st.sampled_from([StripeCharge.charge, StripeCharge.refund, None]),
    )
    def let_a_second_worker_begin_at_a_request(self, pk, endpoint, is_late, works):
        def work_too():
            if is_late:
                end_all_leases()
            if works is None:
                charge_pending(rate=FAST)
            else:
                self.attempt(works, pk)

        when_done(self.fake, endpoint, work_too)
        self.attempt(StripeCharge.charge, pk)
        self.fake.after_request.clear()

    # Events elsewhere

    @rule(endpoint=st.sampled_from(ENDPOINTS), fault=st.sampled_from(FAULTS))
    def fail_a_request(self, endpoint, fault):
        self.fake.fail_next(endpoint, fault)

    @rule(pk=charges, amount=st.sampled_from([None, 30, 100]))
    def refund_in_the_dashboard(self, pk, amount):
        row = StripeCharge.objects.get(pk=pk)
        left = row.is_charged and row.amount - self.amount_refunded_at_stripe(row)
        if left and (amount or left) <= left:
            self.fake.dashboard_refund(row.stripe_charge_id, amount)

    @rule(pk=charges)
    def cancel_in_the_dashboard(self, pk):
        row = StripeCharge.objects.get(pk=pk)
        if row.stripe_payment_intent_id and intent_of(self.fake, row)["status"] in {
            "requires_payment_method",
            "requires_confirmation",
        }:
            self.fake.dashboard_cancel(row.stripe_payment_intent_id)

    @rule(pk=charges)
    def authenticate_in_the_browser(self, pk):
        row = StripeCharge.objects.get(pk=pk)
        if row.failure_code != "authentication_required" or not row.charge_attempt_failed:
            return
        intent = intent_of(self.fake, row)
        if intent["status"] == "requires_payment_method" and self.fits(row, intent):
            authenticate(self.fake, row)

    def fits(self, row, intent):
        """Return whether the current card needs authentication."""
        declined_card = row.stripe_response["error"]["payment_method"]["id"]
        is_same_card = row.customer.default_source == declined_card
        return is_same_card and row.customer.stripe_customer_id == intent["customer"]

    @rule(succeed=st.booleans())
    def let_the_bank_decide(self, succeed):
        for intent in self.fake.account.all("payment_intent"):
            if intent["status"] == "processing":
                self.fake.settle(intent["id"], succeed=succeed)
        for made in self.fake.account.all("refund"):
            if made["status"] == "pending":
                self.fake.settle_refund(made["id"], "succeeded" if succeed else "failed")

    @rule()
    def let_half_a_day_pass(self):
        let_pass(self.fake, HALF_A_DAY)

    # Invariants

    @invariant()
    def no_charge_was_paid_twice(self):
        if not hasattr(self, "fake"):
            return
        uuids = [intent["metadata"]["aa_stripe_charge_uuid"] for intent in paid(self.fake)]
        assert len(uuids) == len(set(uuids))

    @invariant()
    def nothing_was_refunded_twice(self):
        if not hasattr(self, "fake"):
            return
        orders = [made["metadata"].get("aa_stripe_refund_uuid") for made in self.refunds()]
        ours = [order for order in orders if order]
        assert len(ours) == len(set(ours))

    def settle(self):
        """Run until nothing is pending, without further faults."""
        self.fake.clear_faults()
        for _ in range(4):
            end_all_leases()
            self.let_half_a_day_pass()
            self.run_the_command()
            self.let_the_bank_decide(succeed=True)
            for row in self.rows():
                if row.is_charged:
                    row.refresh_from_stripe()
                elif not row.charge_attempt_failed or self.is_paid(row):
                    self.attempt(StripeCharge.charge, row.pk)

    def compare(self):
        for row in self.rows():
            assert (row.signal_due, row.claim) == ("", "")
            assert row.is_charged == self.is_paid(row)
            assert row.is_charged != row.charge_attempt_failed
            if row.is_charged:
                self.compare_charge(row)

    def compare_charge(self, row):
        charge = self.fake.account.get("charge", row.stripe_charge_id)
        assert charge["paid"]
        assert (row.amount, row.currency) == (charge["amount_captured"], charge["currency"])
        assert (
            row.amount_refunded == charge["amount_refunded"] == self.amount_refunded_at_stripe(row)
        )
        assert row.is_refunded == charge["refunded"]
        assert row.stripe_payment_intent_id == charge["payment_intent"]
        assert row.customer.stripe_customer_id == charge["customer"]
        made = {it["id"]: it["status"] for it in refunds_of(self.fake, row)}
        for refund in row.refunds.exclude(status="refused"):
            assert made[refund.stripe_refund_id] == refund.status

    # Helpers

    def attempt(self, method, pk, *arguments):
        try:
            method(StripeCharge.objects.get(pk=pk), *arguments)
        except EXPECTED_ERRORS:
            return

    def rows(self):
        return StripeCharge.objects.filter(user=self.user)

    def refunds(self):
        return self.fake.account.all("refund")

    def amount_refunded_at_stripe(self, row):
        void = {"failed", "canceled"}
        return sum(it["amount"] for it in refunds_of(self.fake, row) if it["status"] not in void)

    def is_paid(self, row):
        return any(
            intent["metadata"]["aa_stripe_charge_uuid"] == str(row.uuid)
            for intent in paid(self.fake)
        )


@pytest.mark.slow
@pytest.mark.django_db
def test_rows_and_stripe_agree_after_any_sequence_of_events():
    run_state_machine_as_test(
        Site,
        settings=settings(
            max_examples=60,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
