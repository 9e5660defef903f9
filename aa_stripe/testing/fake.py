"""FakeStripe: a Stripe account in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from random import Random
from types import TracebackType
from typing import Any

import stripe

from aa_stripe.testing import dashboard
from aa_stripe.testing.account import API_VERSION, JSON, Account
from aa_stripe.testing.billing import renewal
from aa_stripe.testing.billing.consequences import CONSEQUENCES
from aa_stripe.testing.billing.subscription_status import AFTER_LAST_RETRY, CANCEL
from aa_stripe.testing.cards.details import CardDetails
from aa_stripe.testing.http.api import AfterRequest, Api, BeforeRequest
from aa_stripe.testing.http.client import FakeHTTPClient
from aa_stripe.testing.http.faults import Fault
from aa_stripe.testing.http.request import Request
from aa_stripe.testing.http.server import Server
from aa_stripe.testing.payments import challenge, settlement, tokens
from aa_stripe.testing.webhooks import Client, check_chances, send, sendings

TEST_KEY = "sk_test_fake"
"""An API key for FakeStripe; Stripe rejects it."""


class FakeStripe:
    """A stateful Stripe that needs no key and no network.

    Inside ``with FakeStripe() as fake:`` it handles all calls of ``aa_stripe`` and of the SDK's
    global functions. It is thread-safe.

    ``allow_card_tokens``: whether card tokens are accepted as ``source``; Stripe refuses them for
    new accounts. ``api_version`` is the version of events. ``after_last_retry`` is the status of
    a subscription after the last failed retry of a renewal: "canceled", "unpaid" or "past_due", a
    setting in Stripe's Dashboard.
    """

    def __init__(
        self,
        *,
        allow_card_tokens: bool = False,
        api_version: str = API_VERSION,
        after_last_retry: str = CANCEL,
    ) -> None:
        if after_last_retry not in AFTER_LAST_RETRY:
            raise ValueError(f"after_last_retry must be one of {', '.join(AFTER_LAST_RETRY)}.")
        self.account = Account(
            allow_card_tokens=allow_card_tokens,
            api_version=api_version,
            after_last_retry=after_last_retry,
        )
        self.account.consequences.update(CONSEQUENCES)
        self._api = Api(self.account)
        self._replaced: list[tuple[Any, str, Any]] = []
        self._delivered = 0
        self.http_client = FakeHTTPClient(self._api)

    # Installing and serving.

    def __enter__(self) -> FakeStripe:
        self.install()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.uninstall()

    def install(self) -> None:
        """Handle the calls of ``aa_stripe`` and of the SDK's global functions from now on."""
        from aa_stripe import gateway

        self._put(gateway, "http_client", self.http_client)
        self._put(stripe, "default_http_client", self.http_client)
        self._put(stripe, "api_key", stripe.api_key or TEST_KEY)

    def _put(self, holder: Any, name: str, value: Any) -> None:
        self._replaced.append((holder, name, getattr(holder, name)))
        setattr(holder, name, value)

    def uninstall(self) -> None:
        """Undo ``install()``."""
        while self._replaced:
            setattr(*self._replaced.pop())

    @contextmanager
    def serve(self, port: int = 0) -> Iterator[str]:
        """Serve the account over HTTP on 127.0.0.1; yield the URL. Port 0 is any free port."""
        with self.server(port) as server, server.running():
            yield server.url

    def server(self, port: int = 0) -> Server:
        """Return a listening server on 127.0.0.1; call its ``serve_forever()``.

        Raises ``OSError`` if the port is unavailable.
        """
        return Server(self._api, port)

    # Requests and events.

    @property
    def requests(self) -> list[Request]:
        """Every request so far, oldest first, including those that a fault lost."""
        return self._api.requests

    @property
    def before_request(self) -> list[BeforeRequest]:
        """Functions that are called with each ``Request`` before it is executed."""
        return self._api.before_request

    @property
    def after_request(self) -> list[AfterRequest]:
        """Functions that are called with each ``Request`` and ``Response`` after the execution.

        The caller does not have the response yet; a fault may still lose it.
        """
        return self._api.after_request

    @property
    def events(self) -> list[JSON]:
        """Every event so far, oldest first."""
        with self.account.held():
            return self.account.all("event")

    def deliver(
        self,
        url: str,
        secret: str,
        *,
        events: Iterable[JSON] | None = None,
        client: Client | None = None,
        shuffled: bool = False,
        copies: int = 1,
        dropped: float = 0,
        random: Random | None = None,
    ) -> list[int]:
        """Send signed events to the webhook at ``url``; return the HTTP status of each delivery.

        ``events`` defaults to the events since the last call without ``events``, oldest first. With
        Django's test client as ``client``, ``url`` is a path. Over HTTP the status is 0 if there is
        no response: the connection failed or was closed, or 30 seconds passed.

        Options imitate Stripe's unreliable delivery: ``shuffled`` sends in random order; each event
        is sent 1 to ``copies`` times, or with the probability ``dropped`` (0 to 1) never, not even
        by the next ``deliver()``. Pass a seeded ``random`` for a reproducible test; ``None`` is an
        unseeded one. Raises ``ValueError`` before sending if ``copies`` is below 1 or ``dropped``
        is not a probability.
        """
        check_chances(copies=copies, dropped=dropped)
        if events is None:
            events = self._undelivered()
        sent = sendings(events, shuffled=shuffled, copies=copies, dropped=dropped, random=random)
        return send(url, sent, secret, client=client)

    def _undelivered(self) -> list[JSON]:
        """Return the events since the last call. Concurrent calls never return the same event."""
        with self.account.held():
            happened = self.events
            taken, self._delivered = self._delivered, len(happened)
        return happened[taken:]

    # Time.

    @property
    def now(self) -> int:
        """The account's time in seconds since 1970: real time plus ``advance()``."""
        return self.account.now

    def advance(self, seconds: float) -> None:
        """Advance the clock by ``seconds``; make each change that falls due, at its own time.

        Trials end, subscriptions renew or are canceled, unpaid invoices are retried, idempotency
        keys expire. Raises ``ValueError`` if ``seconds`` is negative.
        """
        with self.account.held():
            renewal.pass_time(self.account, seconds)

    # Faults.

    def fail_next(
        self, endpoint: str, fault: Fault, *, times: int | None = 1, seconds: float = 0
    ) -> None:
        """Inject a fault into the next ``times`` requests to an endpoint; ``None`` is no limit.

        ``endpoint`` is written like ``"POST /v1/payment_intents/*/confirm"``; ``"*"`` is every
        endpoint. ``seconds`` is the delay of ``Fault.SLOW``. The SDK retries requests without a
        response. Raises ``ValueError`` if the endpoint is unknown.
        """
        self._api.faults.plan(endpoint, fault, times=times, seconds=seconds)

    def clear_faults(self) -> None:
        """Discard all planned faults."""
        self._api.faults.clear()

    # Actions in a browser.

    def create_token(self, number: str = "4242424242424242") -> str:
        """Create a card token, as Stripe.js does; return its id, which can be used once.

        Raises ``Refusal`` if ``number`` is not the number of a test card.
        """
        with self.account.held():
            return str(tokens.make(self.account, CardDetails.from_params({"number": number}))["id"])

    def complete_authentication(self, intent: str) -> JSON:
        """Complete 3-D Secure for an intent; return the updated intent.

        ``intent`` is the id of a PaymentIntent or a SetupIntent. Raises ``ValueError`` if it
        does not wait for 3-D Secure.
        """
        with self.account.held():
            return challenge.complete(self.account, intent)

    def fail_authentication(self, intent: str) -> JSON:
        """Fail 3-D Secure; otherwise like ``complete_authentication()``."""
        with self.account.held():
            return challenge.fail(self.account, intent)

    # Actions of a bank.

    def settle(self, intent: str, *, succeed: bool = True) -> JSON:
        """Make a PaymentIntent that is ``processing`` succeed or fail; return it.

        Raises ``ValueError`` if it is not ``processing``.
        """
        with self.account.held():
            return settlement.settle_payment(self.account, intent, succeed=succeed)

    def settle_refund(self, refund: str, status: str) -> JSON:
        """Set the status of a refund; return the refund.

        ``status`` is "succeeded", "failed", "canceled" or "requires_action". A refund that has
        succeeded may still fail. Raises ``ValueError`` if it has failed or was canceled.
        """
        with self.account.held():
            return settlement.settle_refund(self.account, refund, status)

    # Actions in the Dashboard.

    def dashboard_refund(self, charge: str, amount: int | None = None) -> JSON:
        """Refund ``amount`` (smallest unit) of a charge; ``None`` refunds the rest.

        Returns the refund. This and the other ``dashboard_*`` methods raise ``Refusal`` if the API
        would refuse the request.
        """
        with self.account.held():
            return dashboard.refund(self.account, charge, amount)

    def dashboard_cancel(self, intent: str) -> JSON:
        """Cancel a PaymentIntent; return it."""
        with self.account.held():
            return dashboard.cancel(self.account, intent)

    def dashboard_delete_customer(self, customer: str) -> JSON:
        """Delete a customer; return the deleted customer."""
        with self.account.held():
            return dashboard.delete_customer(self.account, customer)

    def dashboard_create_coupon(self, **params: Any) -> JSON:
        """Create a coupon from the API's parameters, such as ``percent_off=25``; return it."""
        with self.account.held():
            return dashboard.create_coupon(self.account, params)

    def dashboard_edit_coupon(self, coupon: str, **params: Any) -> JSON:
        """Change a coupon's name, metadata or amounts in other currencies; return it."""
        with self.account.held():
            return dashboard.edit_coupon(self.account, coupon, params)

    def dashboard_delete_coupon(self, coupon: str) -> JSON:
        """Delete a coupon; return the deleted coupon."""
        with self.account.held():
            return dashboard.delete_coupon(self.account, coupon)

    def dashboard_cancel_subscription(
        self, subscription: str, *, at_period_end: bool = False
    ) -> JSON:
        """Cancel a subscription now or at the end of its current period; return it."""
        with self.account.held():
            return dashboard.cancel_subscription(
                self.account, subscription, at_period_end=at_period_end
            )
