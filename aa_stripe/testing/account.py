"""The state of one Stripe account: objects, events and clock."""

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
    """The request that caused an event; empty if a Dashboard action or the clock caused it."""

    id: str | None = None
    idempotency_key: str | None = None


class Account:
    """An account. Objects are plain JSON dictionaries, in the order of creation.

    ``cards`` maps the id of a token, a payment method or a legacy card to its test card. ``spent``
    are the used ids of objects that can be used only once. ``currency_options`` are a coupon's
    amounts in other currencies. ``redeemed`` is the coupon of each discount, also if it was deleted
    later. ``warned`` are the subscriptions with a ``trial_will_end`` event. ``consequences`` are
    called with the object of each event of their type. Read and change an account only while it is
    ``held()``.
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
        self._creations: dict[str, tuple[int, int]] = {}
        self._lock = threading.RLock()
        self._stopped_at: float | None = None
        self._offset = 0.0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the account and freeze its clock for the block."""
        with self._lock:
            outer = self._stopped_at
            self._stopped_at = time.time() if outer is None else outer
            try:
                yield
            finally:
                self._stopped_at = outer

    @property
    def now(self) -> int:
        """The account's time in whole seconds since 1970: real time plus ``advance()``."""
        stopped_at = self._stopped_at
        return int((time.time() if stopped_at is None else stopped_at) + self._offset)

    def advance(self, seconds: float) -> None:
        """Move only the clock; ``renewal.pass_time()`` also makes the changes that fall due."""
        self._offset += seconds

    def add(self, kind: str, **fields: Any) -> JSON:
        """Create an object of that ``kind`` from its sample and ``fields``; return it."""
        made = sample(kind)
        made.update({"id": new_id(kind), "created": self.now}, **fields)
        return self._store(kind, made)

    def add_card(self, **fields: Any) -> JSON:
        """Create a legacy card, which has no ``created`` at Stripe; return it."""
        return self._store("card", {**sample("card"), "id": new_id("card"), **fields})

    def _store(self, kind: str, made: JSON) -> JSON:
        self._objects.setdefault(kind, {})[made["id"]] = made
        self._creations.setdefault(made["id"], (self.now, len(self._creations)))
        return made

    def creation(self, id: str) -> tuple[int, int]:
        """Return an object's creation time in seconds and its position in the order of creation."""
        return self._creations[id]

    def replace(self, kind: str, replacement: JSON) -> JSON:
        """Replace the object with the same id; return ``replacement``."""
        return self._store(kind, replacement)

    def remove(self, kind: str, id: str) -> None:
        """Delete an object."""
        del self._objects[kind][id]

    def find(self, kind: str, id: str) -> JSON | None:
        """Return the object or ``None``; a deleted customer is returned."""
        return self._objects.get(kind, {}).get(id)

    def get(self, kind: str, id: str, *, param: str | None = None) -> JSON:
        """Return the object; raise ``Refusal`` if it does not exist or is deleted.

        The status is 404 for an id in the path, 400 for an id in ``param``.
        """
        found = self.find(kind, id)
        if found is None or found.get("deleted"):
            raise no_such(kind, id, param=param)
        return found

    def all(self, kind: str) -> list[JSON]:
        """Return the objects of that ``kind``, oldest first."""
        return list(self._objects.get(kind, {}).values())

    def matching(self, kind: str, params: dict[str, Any], *, by: tuple[str, ...]) -> list[JSON]:
        """Return the objects that refer to the ids in ``params``, oldest first.

        ``by`` are the kinds to filter by. Raises ``Refusal`` for an unknown id, but not for a
        deleted object.
        """
        wanted = {name: params[name] for name in by if name in params}
        for name, id in wanted.items():
            if self.find(name, id) is None:
                raise no_such(name, id, param=name)
        return [
            item for item in self.all(kind) if all(item[name] == id for name, id in wanted.items())
        ]

    def emit(self, type: str, about: JSON, *, before: JSON | None = None) -> JSON:
        """Record and return an event with a copy of the object.

        ``before`` is the object before the change; fields that differ become
        ``previous_attributes``.
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
