"""Deliveries of a served account's events to a webhook, while real time passes."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aa_stripe.testing.account import JSON
from aa_stripe.testing.fake import FakeStripe
from aa_stripe.testing.webhooks import NO_RESPONSE, send

PAUSE = 0.5
"""Seconds between two looks for new events."""

ATTEMPTS = 5
"""How often an event is sent until the webhook responds with 2xx."""


class Deliveries:
    """Sends each new event to the webhook at ``url``, signed with ``secret``.

    An event is sent again, before newer ones, if the status of the response is not 2xx; after
    ``ATTEMPTS`` it is given up. Stripe retries for hours, and does not wait with newer events.
    ``report`` is called with a line for each response.
    """

    def __init__(
        self, fake: FakeStripe, url: str, secret: str, report: Callable[[str], None]
    ) -> None:
        self._fake = fake
        self._url = url
        self._secret = secret
        self._report = report
        self._sent = 0
        self._failures = 0
        self._stopped = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Deliver in a background thread for the block."""
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            thread.join(PAUSE)

    def _run(self) -> None:
        while not self._stopped.wait(PAUSE):
            self.run_once()

    def run_once(self) -> None:
        """Make the changes that are due by now, then send the events that are not delivered."""
        self._fake.advance(0)
        for event in self._fake.events[self._sent :]:
            if not self._deliver(event):
                return

    def _deliver(self, event: JSON) -> bool:
        """Send one event; return whether the next one may be sent."""
        delivered, outcome = self._send(event)
        self._failures = 0 if delivered else self._failures + 1
        gives_up = self._failures >= ATTEMPTS
        end = f", given up after {ATTEMPTS} attempts" if gives_up else ""
        self._report(f"{event['type']} {event['id']}: {outcome}{end}")
        if not (delivered or gives_up):
            return False
        self._failures = 0
        self._sent += 1
        return True

    def _send(self, event: JSON) -> tuple[bool, str]:
        """Return whether the webhook responded with 2xx, and what happened."""
        try:
            (status,) = send(self._url, [event], self._secret, client=None)
        except (OSError, http.client.HTTPException) as error:  # such as an unknown host
            return False, f"no response: {error}"
        return 200 <= status < 300, "no response" if status == NO_RESPONSE else str(status)
