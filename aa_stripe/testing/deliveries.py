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

    An event is sent again, before newer ones, until the status of the response is 2xx. After
    ``ATTEMPTS`` responses it is given up; while there is no response, the site is not running yet,
    or restarts. Stripe retries for hours, and does not wait with newer events. ``report`` is called
    with a line for each response that differs from the one before.
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
        self._line = ""
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
        status, outcome = self._send(event)
        delivered = 200 <= status < 300
        self._failures += status != NO_RESPONSE and not delivered
        gives_up = self._failures >= ATTEMPTS
        end = f", given up after {ATTEMPTS} attempts" if gives_up else ""
        self._report_change(f"{event['type']} {event['id']}: {outcome}{end}")
        if not (delivered or gives_up):
            return False
        self._failures = 0
        self._sent += 1
        return True

    def _report_change(self, line: str) -> None:
        if line != self._line:
            self._line = line
            self._report(line)

    def _send(self, event: JSON) -> tuple[int, str]:
        """Return the status of the response, and what happened, for the report."""
        try:
            (status,) = send(self._url, [event], self._secret, client=None)
        except (OSError, http.client.HTTPException) as error:  # such as an unknown host
            return NO_RESPONSE, f"no response: {error}"
        return status, "no response" if status == NO_RESPONSE else str(status)
