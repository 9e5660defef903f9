"""The rate of requests that all processes of an account share; Redis counts them."""

from __future__ import annotations

import hashlib
import logging
import math
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured

from aa_stripe import gateway
from aa_stripe.settings import stripe_settings

if TYPE_CHECKING:
    from limits.storage import RedisStorage
    from redis import ConnectionPool

logger = logging.getLogger("aa-stripe")

#: The beginning of the names of the keys in Redis.
PREFIX = "aa_stripe"

#: Seconds to wait for Redis.
TIMEOUT = 1.0

#: Seconds without Redis before it is tried again.
AWAY_FOR = 10.0

#: The longest pause before Redis is asked again whether a request may be sent, in seconds.
LONGEST_PAUSE = 1.0


@contextmanager
def at_shared_rate() -> Iterator[None]:
    """Limit all processes together to ``STRIPE_REQUESTS_PER_SECOND`` within the block.

    All have the same limit: one with a lower limit than the others would hardly get a turn.
    Does nothing without ``STRIPE_RATE_LIMIT_URL``. Raises ``ImproperlyConfigured`` if that is not
    a valid URL, or the package ``limits`` or ``redis`` is missing.
    """
    url = stripe_settings.RATE_LIMIT_URL
    if not url:
        yield
        return
    rate = stripe_settings.REQUESTS_PER_SECOND
    with gateway.before_each_request(_of_process(url, rate, _account()).wait):
        yield


class SharedRate:
    """A limit for all processes with the same ``account``, counted by the clock of Redis.

    The limit is a whole number of requests per second, or one request per whole number of seconds:
    ``rate`` is rounded down.
    """

    def __init__(self, url: str, rate: float, account: str) -> None:
        self._amount, self._seconds = (int(rate), 1) if rate >= 1 else (1, math.ceil(1 / rate))
        self._pause = min(1 / rate, LONGEST_PAUSE)
        self._storage, self._pool = _storage(url)
        self._key = f"rate-{account}-{self._seconds}"
        self._away_until = -math.inf
        self._has_warned = False
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait until one more request may be sent. While Redis is away, do not wait."""
        with self._lock:  # one thread of a process asks Redis, for the others too
            while time.monotonic() >= self._away_until and not self._is_admitted():
                time.sleep(self._pause * random.uniform(0.5, 1.5))  # noqa: S311

    def _is_admitted(self) -> bool:
        from limits.errors import StorageError

        try:
            is_admitted = self._storage.acquire_sliding_window_entry(
                self._key, self._amount, self._seconds
            )
        except StorageError as error:
            self._away_until = time.monotonic() + AWAY_FOR
            self._warn(type(error.storage_error).__name__)
            return True
        self._has_warned = False
        return is_admitted

    def _warn(self, problem: str) -> None:
        # Not the message of Redis: it may repeat the password.
        if not self._has_warned:
            logger.warning(
                "Redis does not respond (%s), so this process does not share its rate of requests "
                "with others. It tries again every %d seconds.",
                problem,
                AWAY_FOR,
            )
        self._has_warned = True


@lru_cache(maxsize=1)
def _of_process(url: str, rate: float, account: str) -> SharedRate:
    """Return the limit that all runs and tasks of this process use, with its connection."""
    return SharedRate(url, rate, account)


def _storage(url: str) -> tuple[RedisStorage, ConnectionPool]:
    try:
        from limits.storage import RedisStorage
        from redis import ConnectionPool
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError
        from redis.retry import Retry
    except ImportError as error:
        raise ImproperlyConfigured(
            'STRIPE_RATE_LIMIT_URL needs packages: pip install "aa-stripe[redis]".'
        ) from error
    try:
        pool = ConnectionPool.from_url(
            url,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 0),  # redis retries for seconds by default
        )
        pool.connection_class(**pool.connection_kwargs)  # not connected: only the options are read
    except (TypeError, ValueError, RedisError):
        # Without the cause: it may repeat the password.
        raise ImproperlyConfigured(
            "STRIPE_RATE_LIMIT_URL is not the URL of a Redis server."
        ) from None
    storage = RedisStorage(url, connection_pool=pool, key_prefix=PREFIX, wrap_exceptions=True)
    return storage, pool


def _account() -> str:
    """Return a name of the account, and not of its secret key, for the keys in Redis."""
    return hashlib.sha256(str(stripe_settings.API_KEY).encode()).hexdigest()[:16]
