"""The world outside: banks settle, customers authenticate, staff refunds, events arrive or not."""

from __future__ import annotations

import threading
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Any

from aa_stripe.testing import FakeStripe
from aa_stripe.testing.base.refusals import Refusal
from chaos import settings

PAUSE = 0.2  # seconds

#: How often an event is lost; the others come once or twice, in any order.
LOST = 0.2

#: The prefixes of the events that the site has asked for.
WANTED = ("payment_intent.", "charge.refund", "refund.")

#: How often, at each pause, each waiting payment is settled, and a payment is refunded by staff.
SETTLED, STAFF = 0.1, 0.2


class World:
    """Everything that happens at Stripe without a request of the site."""

    def __init__(self, fake: FakeStripe, url: str, site: str, chance: Random) -> None:
        self.counts: Counter[str] = Counter()
        self._fake, self._url, self._site, self._chance = fake, url, site, chance
        self._is_over = threading.Event()
        self._sent = 0

    @contextmanager
    def turning(self) -> Iterator[None]:
        """Let it turn in the background for the block."""
        threads = [threading.Thread(target=it) for it in (self._turn, self._deliver)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join()

    def settle_all(self) -> None:
        """Let the banks decide about everything that still waits for them."""
        for intent in self._all("payment_intent", "processing"):
            self._settle(intent)
        for refund in self._all("refund", "pending"):
            self._settle_refund(refund)

    def _turn(self) -> None:
        while not self._is_over.wait(PAUSE):
            for intent in self._now_and_then("payment_intent", "processing"):
                self._settle(intent)
            for intent in self._now_and_then("payment_intent", "requires_payment_method"):
                self._authenticate(intent)
            for refund in self._now_and_then("refund", "pending"):
                self._settle_refund(refund)
            if self._chance.random() < STAFF:
                self._refund()

    def _all(self, kind: str, status: str) -> list[Any]:
        with self._fake.account.held():
            return [it for it in self._fake.account.all(kind) if it["status"] == status]

    def _now_and_then(self, kind: str, status: str) -> list[Any]:
        return [it for it in self._all(kind, status) if self._chance.random() < SETTLED]

    def _settle(self, intent: Any) -> None:
        self.counts["settled by a bank"] += 1
        self._fake.settle(intent["id"], succeed=self._chance.random() < 0.6)

    def _settle_refund(self, refund: Any) -> None:
        status = self._chance.choice(["succeeded", "succeeded", "failed"])
        self._fake.settle_refund(refund["id"], status)

    def _authenticate(self, intent: Any) -> None:
        """Confirm as the customer does in the browser, with 3-D Secure."""
        error = intent["last_payment_error"] or {}
        if error.get("code") != "authentication_required":
            return
        values = {
            "client_secret": intent["client_secret"],
            "payment_method": error["payment_method"]["id"],
        }
        request = urllib.request.Request(
            f"{self._url}/v1/payment_intents/{intent['id']}/confirm",
            data=urllib.parse.urlencode(values).encode(),
            headers={"Authorization": "Bearer pk_test_browser"},
        )
        with suppress(OSError):  # as well as Stripe's refusals: the row was paid or edited
            urllib.request.urlopen(request, timeout=30).close()
        act = self._chance.choice(
            [self._fake.complete_authentication] * 2 + [self._fake.fail_authentication]
        )
        with suppress(ValueError):
            act(intent["id"])
            self.counts["authenticated in a browser"] += 1

    def _refund(self) -> None:
        charges = self._all("charge", "succeeded")
        if charges:
            with suppress(Refusal):  # everything is refunded
                self._fake.dashboard_refund(self._chance.choice(charges)["id"], 50)
                self.counts["refunded in the Dashboard"] += 1

    def _deliver(self) -> None:
        while not self._is_over.wait(PAUSE):
            new = self._fake.events[self._sent :]
            self._sent += len(new)
            statuses = self._fake.deliver(
                self._site,
                settings.STRIPE_WEBHOOK_ENDPOINT_SECRET,
                events=[event for event in new if event["type"].startswith(WANTED)],
                shuffled=True,
                copies=2,
                dropped=LOST,
                random=self._chance,
            )
            self.counts["events delivered"] += len(statuses)
