"""The registry of webhook handlers: ``@on("charge.refunded")``.

A project registers its handlers exactly as we do, in a module ``stripe_webhooks.py`` of any
installed app, which is imported at start-up. https://docs.stripe.com/api/events/types
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

#: Called with the ``StripeWebhook``.
Handler = Callable[[Any], object]

H = TypeVar("H", bound=Handler)

# "charge.refunded", "charge.dispute.*", "*"
_PATTERN = re.compile(r"\*|[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?")


class WebhookRegistry:
    """Handlers in the order of their registration."""

    def __init__(self) -> None:
        self._registered: list[tuple[str, Handler]] = []

    def on(self, *event_types: str) -> Callable[[H], H]:
        """Register a ``handler(webhook)`` for events of these types.

        ``"charge.dispute.*"`` stands for every type that begins with ``charge.dispute.``, and
        ``"*"`` for all types. A handler is called once for an event, even if several of its types
        match. Raises ``ValueError`` for an invalid type.
        """
        for event_type in event_types or (None,):
            if not isinstance(event_type, str) or not is_event_type(event_type):
                raise ValueError(
                    f"{event_type!r} is not an event type. Use @on(...) with one or more types, "
                    'such as "charge.refunded", "charge.dispute.*" or "*".'
                )

        def register(handler: H) -> H:
            for event_type in event_types:
                if (event_type, handler) not in self._registered:
                    self._registered.append((event_type, handler))
            return handler

        return register

    def off(self, handler: Handler) -> None:
        """Remove ``handler`` for all its event types."""
        self._registered = [it for it in self._registered if it[1] != handler]

    def handlers_of(self, event_type: str) -> list[Handler]:
        """Return the handlers of events of that type, each once, in the order of registration."""
        found = (it for pattern, it in self._registered if is_of(event_type, pattern))
        return list(dict.fromkeys(found))


def is_event_type(text: str) -> bool:
    """Return whether ``text`` is a valid event type, or a pattern for several."""
    return _PATTERN.fullmatch(text) is not None


def is_of(event_type: str, pattern: str) -> bool:
    """Return whether ``pattern`` matches the event type."""
    if pattern.endswith("*"):
        return event_type.startswith(pattern[:-1])
    return event_type == pattern


registry = WebhookRegistry()

#: ``from aa_stripe.webhooks import on``
on = registry.on
