"""The rate of requests, below Stripe's limit.

https://docs.stripe.com/rate-limits
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache

from aa_stripe import gateway
from aa_stripe.jobs.shared_rate import at_shared_rate
from aa_stripe.settings import stripe_settings

#: Status of a response to a request that was rejected because there were too many.
TOO_MANY_REQUESTS = 429

#: The rate is halved at most four times.
LOWEST_SHARE = 1 / 16

#: The factor by which each further response raises a lowered rate. Seventy of them double it, so
#: about one request in seventy is rejected if the wanted rate stays above Stripe's limit.
RECOVERY = 1.01


class Pace:
    """A limit of ``rate`` turns per second, evenly spaced, for all threads that share it.

    It is lower for a while after Stripe has rejected a request with 429.
    """

    def __init__(self, rate: float) -> None:
        if not 0 < rate < math.inf:
            raise ValueError(f"rate must be a number of requests per second above 0 (got {rate}).")
        self.rate = self._wanted = rate
        self._next_turn = 0.0
        self._halvings = 0
        self._lock = threading.Lock()

    def wait(self) -> int:
        """Wait for the caller's turn; return how often the rate had been halved by then."""
        with self._lock:
            now = time.monotonic()
            turn = max(now, self._next_turn)
            self._next_turn = turn + 1 / self.rate
            halvings = self._halvings
        if turn > now:
            time.sleep(turn - now)
        return halvings

    def send(self, send: gateway.Send) -> gateway.Response:
        """Send a request when it is its turn, and adapt the rate to the response."""
        halvings = self.wait()
        response = send()
        self._adapt(response[1], halvings)
        return response

    def _adapt(self, status: int, halvings: int) -> None:
        with self._lock:
            if status != TOO_MANY_REQUESTS:
                self.rate = min(self.rate * RECOVERY, self._wanted)
            # The turns that were given before the rate was halved say nothing about the new rate.
            elif halvings == self._halvings:
                self.rate = max(self.rate / 2, self._wanted * LOWEST_SHARE)
                self._halvings += 1


def at_rate(rate: float | None) -> AbstractContextManager[None]:
    """Limit the block to ``rate`` requests per second to Stripe.

    ``None`` means ``STRIPE_REQUESTS_PER_SECOND``, which all processes share with
    ``STRIPE_RATE_LIMIT_URL``; ``rate`` then limits this block in addition. Raises ``ValueError`` if
    the rate is not above 0, and ``ImproperlyConfigured`` if that URL cannot be used.
    """
    return _at(Pace(stripe_settings.REQUESTS_PER_SECOND if rate is None else rate))


def at_rate_of_process() -> AbstractContextManager[None]:
    """Limit all such blocks of this process together to ``STRIPE_REQUESTS_PER_SECOND``.

    With ``STRIPE_RATE_LIMIT_URL`` all processes share the rate.
    """
    return _at(_pace_of_process(stripe_settings.REQUESTS_PER_SECOND))


@contextmanager
def _at(pace: Pace) -> Iterator[None]:
    with gateway.around_each_request(pace.send), at_shared_rate():
        yield


@lru_cache(maxsize=1)
def _pace_of_process(rate: float) -> Pace:
    return Pace(rate)
