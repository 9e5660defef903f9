"""What one Stripe account holds: its objects, its events, its clock."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from aa_stripe.testing.base.ids import new_id
from aa_stripe.testing.base.refusals import no_such
from aa_stripe.testing.base.samples import sample
from aa_stripe.testing.cards.card import TestCard

JSON = dict[str, Any]

API_VERSION = "2026-08-26.dahlia"


@dataclass(frozen=True)
class Origin:
    """The request that an event comes from; none if it is the Dashboard, or time itself."""

    id: str | None = None
    idempotency_key: str | None = None


class Account:
    """Objects are plain JSON dictionaries, in the order in which they were created.

    ``cards`` is what the customer never sees: the test card behind a token, a payment method
    or a legacy card. ``spent`` are the ids which Stripe accepts only once and that have been
    used. ``currency_options`` are a coupon's amounts in further currencies, and ``redeemed`` the
    coupon that a discount was made of, whatever became of it. ``warned`` are the subscriptions
    whose trial was said to end. ``consequences`` are called with the object of an event of their
    type. Whoever reads or changes any of it does so while it is ``held``.
    """

    def __init__(
        self,
        *,
        allow_card_tokens: bool = False,
        api_version: str = API_VERSION,
        after_last_retry: str = "canceled",
    ) -> None:
        self.allow_card_tokens = allow_card_tokens
        self.api_version = api_version
        self.after_last_retry = after_last_retry
        self.consequences: dict[str, Callable[[Account, JSON], None]] = {}
        self.cards: dict[str, TestCard] = {}
        self.authenticated: set[str] = set()
        self.spent: set[str] = set()
        self.currency_options: dict[str, dict[str, JSON]] = {}
        self.redeemed: dict[str, JSON] = {}
        self.warned: set[str] = set()
        self.origin = Origin()
        self._objects: dict[str, dict[str, JSON]] = {}
        self._births: dict[str, tuple[int, int]] = {}
        self._lock = threading.RLock()
        self._stopped_at: float | None = None
        self._offset = 0.0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let nobody else at the account, and its clock stand still: it all happens at once."""
        with self._lock:
            outer = self._stopped_at
            self._stopped_at = time.time() if outer is None else outer
            try:
                yield
            finally:
                self._stopped_at = outer

    @property
    def now(self) -> int:
        """The account's time, in whole seconds since 1970: real time plus what was advanced."""
        stopped_at = self._stopped_at
        return int((time.time() if stopped_at is None else stopped_at) + self._offset)

    def advance(self, seconds: float) -> None:
        """Move the clock; what falls due meanwhile does not happen, unlike in ``renewal``."""
        self._offset += seconds

    def add(self, kind: str, **fields: Any) -> JSON:
        """Create and return an object of that ``kind``, made of its sample and ``fields``."""
        made = sample(kind)
        made.update({"id": new_id(kind), "created": self.now}, **fields)
        return self._store(kind, made)

    def add_card(self, **fields: Any) -> JSON:
        """Create and return a legacy card, which has no time of creation at Stripe."""
        return self._store("card", {**sample("card"), "id": new_id("card"), **fields})

    def _store(self, kind: str, made: JSON) -> JSON:
        self._objects.setdefault(kind, {})[made["id"]] = made
        self._births.setdefault(made["id"], (self.now, len(self._births)))
        return made

    def birth(self, id: str) -> tuple[int, int]:
        """Return when an object was made: the time in seconds, and its place among all."""
        return self._births[id]

    def replace(self, kind: str, replacement: JSON) -> JSON:
        """Put ``replacement`` in the place of the object that has its id."""
        return self._store(kind, replacement)

    def remove(self, kind: str, id: str) -> None:
        """Forget an object."""
        del self._objects[kind][id]

    def find(self, kind: str, id: str) -> JSON | None:
        """Return the object, which may be a deleted customer, or ``None``."""
        return self._objects.get(kind, {}).get(id)

    def get(self, kind: str, id: str, *, param: str | None = None) -> JSON:
        """Return the object; refuse what is not there or deleted.

        That is a 404 for an id in the path, a 400 for one in ``param``.
        """
        found = self.find(kind, id)
        if found is None or found.get("deleted"):
            raise no_such(kind, id, param=param)
        return found

    def all(self, kind: str) -> list[JSON]:
        """Return the objects of that ``kind``, oldest first."""
        return list(self._objects.get(kind, {}).values())

    def matching(self, kind: str, params: dict[str, Any], *, by: tuple[str, ...]) -> list[JSON]:
        """Return the objects that name what ``params`` name, oldest first.

        ``by`` are the kinds that may be named. What never was is refused; what was deleted is not.
        """
        wanted = {name: params[name] for name in by if name in params}
        for name, id in wanted.items():
            if self.find(name, id) is None:
                raise no_such(name, id, param=name)
        return [
            item for item in self.all(kind) if all(item[name] == id for name, id in wanted.items())
        ]

    def emit(self, type: str, about: JSON, *, before: JSON | None = None) -> JSON:
        """Record an event about the object as it is now.

        ``before`` is the object as it was; what differs becomes ``previous_attributes``.
        """
        data: JSON = {"object": copy.deepcopy(about)}
        if before is not None:
            data["previous_attributes"] = {
                key: value for key, value in before.items() if about.get(key) != value
            }
        event = self.add(
            "event", type=type, data=data, api_version=self.api_version, request=asdict(self.origin)
        )
        if type in self.consequences:
            self.consequences[type](self, about)
        return event
