"""Stripe on a bad day: slow, failing, and the place where two processes at one row are seen."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from random import Random
from typing import TYPE_CHECKING

from aa_stripe.models.charge.refunds import UUID_KEY as REFUND_KEY
from aa_stripe.models.charge.search import UUID_KEY as CHARGE_KEY
from aa_stripe.testing import FakeStripe, Fault
from aa_stripe.testing.http.faults import ConnectionLost
from aa_stripe.testing.http.request import Request
from aa_stripe.testing.http.response import Response
from chaos import clock

if TYPE_CHECKING:
    from chaos.murder import Murderer

#: The usual time of a response, in seconds.
LATENCY = 0.06

#: How often a request meets a fault, or its sender is killed or stopped.
FAULTY, KILLED, STOPPED = 0.05, 0.008, 0.001

#: How often a request that moves money is slow, by the end of its path.
SLOW = {
    "confirm": ("POST /v1/payment_intents/*/confirm", 0.05),
    "refunds": ("POST /v1/refunds", 0.3),
}

#: Two processes that request the same within this time hold one claim, in seconds. A process gives
#: a request up after the timeout, four times as long; only then may another one have the row.
AT_ONCE = 0.5

#: A process that was stopped within this time may send what another one sends by now.
WAS_STOPPED = clock.LONGEST_STOP + 10


class BadDay:
    """The faults of an offline Stripe, and what is seen there."""

    def __init__(self, fake: FakeStripe, murderer: Murderer, chance: Random, mutant: str) -> None:
        self.fake = fake
        self.counts: Counter[str] = Counter()
        self.seen: list[str] = []
        self._murderer = murderer
        self._chance = chance
        self._has_keys = mutant != "no-key"
        self._is_over = False
        self._lock = threading.Lock()
        self._begun: set[str] = set()
        self._open: dict[str, dict[str, tuple[float, int]]] = defaultdict(dict)
        fake.before_request.append(self._before)
        fake.after_request.append(self._after)

    def end(self) -> None:
        """Plan no more faults; return when the requests of the dead are carried out."""
        self._is_over = True
        self.fake.clear_faults()
        while self._begun:
            time.sleep(0.05)

    def _before(self, request: Request) -> None:
        if not self._has_keys:
            request.headers.pop("idempotency-key", None)
        self.counts["requests"] += 1
        if not self._is_over:
            time.sleep(self._chance.uniform(0, LATENCY))
            self._roll(request)
        self._begin(request)

    def _after(self, request: Request, response: Response) -> None:
        if request.fault is not None:
            self.counts[f"fault: {request.fault.value}"] += 1
        if not self._is_over:
            self._strike(request)
        with self._lock:
            self._begun.discard(request.id)
            self._open[subject_of(request)].pop(request.id, None)

    def _roll(self, request: Request) -> None:
        """Plan a fault; raise ``ConnectionLost`` if the request is lost."""
        chance = self._chance
        endpoint, slow = SLOW.get(request.path.rpartition("/")[2], ("", 0))
        if request.method == "POST" and chance.random() < slow:
            self.fake.fail_next(endpoint, Fault.SLOW, seconds=chance.uniform(1, clock.SLOWEST))
        elif chance.random() < FAULTY:
            fault = chance.choice(list(Fault))
            if fault is Fault.REQUEST_LOST:
                self.counts[f"fault: {fault.value}"] += 1
                raise ConnectionLost("The request was lost, by chance.")
            seconds = chance.choice([0.2, 1, chance.uniform(2, clock.SLOWEST)])
            self.fake.fail_next("*", fault, seconds=seconds)
        self._strike(request)

    def _strike(self, request: Request) -> None:
        fate = self._chance.random()
        if fate < KILLED:
            self._murderer.kill(sender_of(request))
        elif fate < KILLED + STOPPED:
            self._murderer.stop(sender_of(request))

    # Two processes at one row

    def _begin(self, request: Request) -> None:
        subject, sender, now = subject_of(request), sender_of(request), time.monotonic()
        with self._lock:
            self._begun.add(request.id)
            if not subject or not sender:
                return
            for started, other in self._open[subject].values():
                if other != sender and now - started < AT_ONCE and not self._slept(sender, other):
                    self.seen.append(f"Processes {other} and {sender} requested at once: {subject}")
            self._open[subject][request.id] = now, sender

    def _slept(self, *senders: int) -> bool:
        return any(self._murderer.slept(sender, WAS_STOPPED) for sender in senders)


def sender_of(request: Request) -> int:
    """Return the id of the process that has sent the request, 0 if a browser or old code has."""
    _, _, key = request.headers.get("authorization", "").partition("sk_test_")
    return int(key) if key.isdecimal() else 0


def subject_of(request: Request) -> str:
    """Return the payment or refund that the request asks for; empty for other requests."""
    if request.method != "POST":
        return ""
    if request.path.endswith("/confirm"):
        return request.path
    metadata = request.params.get("metadata")
    if not isinstance(metadata, dict) or request.path not in {"/v1/refunds", "/v1/payment_intents"}:
        return ""
    return str(metadata.get(REFUND_KEY) or metadata.get(CHARGE_KEY) or "")
