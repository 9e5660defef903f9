"""The rate of requests, below Stripe's limit.

https://docs.stripe.com/rate-limits
"""

from __future__ import annotations

import math
import threading
import time
from contextlib import AbstractContextManager
from functools import lru_cache

from aa_stripe import gateway
from aa_stripe.settings import stripe_settings


class Pace:
    """A limit of ``rate`` turns per second, evenly spaced, for all threads that share it."""

    def __init__(self, rate: float) -> None:
        if not 0 < rate < math.inf:
            raise ValueError(f"rate must be a number of requests per second above 0 (got {rate}).")
        self._interval = 1 / rate
        self._next_turn = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait for the caller's turn."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next_turn)
            self._next_turn = turn + self._interval
        if turn > now:
            time.sleep(turn - now)


def at_rate(rate: float | None) -> AbstractContextManager[None]:
    """Limit the block to ``rate`` requests per second to Stripe.

    ``None`` means ``STRIPE_REQUESTS_PER_SECOND``. Raises ``ValueError`` if the rate is not above
    0.
    """
    return gateway.before_each_request(
        Pace(stripe_settings.REQUESTS_PER_SECOND if rate is None else rate).wait
    )


def at_rate_of_process() -> AbstractContextManager[None]:
    """Limit all such blocks of this process together to ``STRIPE_REQUESTS_PER_SECOND``."""
    return gateway.before_each_request(_shared_pace(stripe_settings.REQUESTS_PER_SECOND).wait)


@lru_cache(maxsize=1)
def _shared_pace(rate: float) -> Pace:
    return Pace(rate)
