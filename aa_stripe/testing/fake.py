"""FakeStripe: an account at Stripe, in memory."""

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
"""A key that only a fake takes."""


class FakeStripe:
    """A stateful Stripe that needs no key and no network.

    ``with FakeStripe() as fake:`` lets it answer all calls of ``aa_stripe`` and of the SDK's
    global functions inside the block. Use it from as many threads as you like.

    ``allow_card_tokens``: whether card tokens may still be used as ``source``, which Stripe
    refuses to new accounts. ``api_version`` is what events are rendered in. ``after_last_retry``:
    what becomes of a subscription whose renewal could not be collected at last, "canceled",
    "unpaid" or "past_due"; in the Dashboard that is a setting.
    """

    def __init__(
        self,
        *,
        allow_card_tokens: bool = False,
        api_version: str = API_VERSION,
        after_last_retry: str = CANCEL,
    ) -> None:
        if after_last_retry not in AFTER_LAST_RETRY:
            raise ValueError(f"after_last_retry is one of {', '.join(AFTER_LAST_RETRY)}.")
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

    # In the place of the real one.

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
        """Answer the calls of ``aa_stripe`` and of the SDK's global functions from now on."""
        from aa_stripe import gateway

        self._put(gateway, "http_client", self.http_client)
        self._put(stripe, "default_http_client", self.http_client)
        self._put(stripe, "api_key", stripe.api_key or TEST_KEY)

    def _put(self, holder: Any, name: str, value: Any) -> None:
        self._replaced.append((holder, name, getattr(holder, name)))
        setattr(holder, name, value)

    def uninstall(self) -> None:
        """Put back what was there before ``install()``."""
        while self._replaced:
            setattr(*self._replaced.pop())

    @contextmanager
    def serve(self, port: int = 0) -> Iterator[str]:
        """Serve the same account over HTTP, on 127.0.0.1; yields the URL. 0 is any free port."""
        with self.server(port) as server, server.running():
            yield server.url

    def server(self, port: int = 0) -> Server:
        """Return a server on 127.0.0.1 that listens, and that you let ``serve_forever()``.

        Raises ``OSError`` when the port cannot be had.
        """
        return Server(self._api, port)

    # Looking on.

    @property
    def requests(self) -> list[Request]:
        """Every request so far, oldest first, also those that a fault swallowed."""
        return self._api.requests

    @property
    def before_request(self) -> list[BeforeRequest]:
        """Functions called with each ``Request`` before anything happens."""
        return self._api.before_request

    @property
    def after_request(self) -> list[AfterRequest]:
        """Functions called with each ``Request`` and ``Response`` when its effect is there.

        The caller has not seen the answer yet; it may never see it.
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
        """Send events to the webhook at ``url``, signed; return the HTTP status of each sending.

        ``events`` are by default those that were not delivered so before, oldest first. With
        Django's test client as ``client``, ``url`` is a path. Over HTTP the status is 0 where
        Stripe would have got no answer: the connection was refused or broke off, or nothing came
        for 30 seconds.

        On request it is done as badly as Stripe may: ``shuffled`` sends in random order; each event
        is sent 1 to ``copies`` times, and with the probability ``dropped`` (0 to 1) never, also not
        by the next ``deliver()``. ``random`` decides; give it a seed for a test that is to be
        repeatable, ``None`` is a new one without. Raises ``ValueError`` for less than one copy, or
        a ``dropped`` that is no probability; nothing is sent then.
        """
        check_chances(copies=copies, dropped=dropped)
        if events is None:
            events = self._undelivered()
        sent = sendings(events, shuffled=shuffled, copies=copies, dropped=dropped, random=random)
        return send(url, sent, secret, client=client)

    def _undelivered(self) -> list[JSON]:
        """Return the events that nobody took before; two threads take none twice."""
        with self.account.held():
            happened = self.events
            taken, self._delivered = self._delivered, len(happened)
        return happened[taken:]

    # Time.

    @property
    def now(self) -> int:
        """Stripe's time in seconds since 1970: real time, and what ``advance()`` added."""
        return self.account.now

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass: what falls due happens, idempotency keys and events grow old.

        Trials end, subscriptions are renewed or canceled, and what was not paid is tried again,
        each at its own time. Raises ``ValueError`` for negative seconds.
        """
        with self.account.held():
            renewal.pass_time(self.account, seconds)

    # Things that go wrong.

    def fail_next(
        self, endpoint: str, fault: Fault, *, times: int | None = 1, seconds: float = 0
    ) -> None:
        """Let the next ``times`` requests to an endpoint go wrong; ``None`` is all of them.

        ``endpoint`` is written like ``"POST /v1/payment_intents/*/confirm"``; ``"*"`` is every
        one. ``seconds`` is for ``Fault.SLOW``. Mind that the SDK repeats what got no answer.
        Raises ``ValueError`` for an endpoint that is not there.
        """
        self._api.faults.plan(endpoint, fault, times=times, seconds=seconds)

    def clear_faults(self) -> None:
        """Let everything go well again."""
        self._api.faults.clear()

    # What happens in a browser.

    def create_token(self, number: str = "4242424242424242") -> str:
        """Return the id of a new card token, as Stripe.js makes it; it can be used once.

        Raises ``Refusal`` for what is not the number of a test card.
        """
        with self.account.held():
            return str(tokens.make(self.account, CardDetails.from_params({"number": number}))["id"])

    def complete_authentication(self, intent: str) -> JSON:
        """The card's owner passes 3-D Secure; returns the intent as it is then.

        ``intent`` is the id of a PaymentIntent or a SetupIntent. Raises ``ValueError`` if it
        does not wait for that; so does ``fail_authentication()``.
        """
        with self.account.held():
            return challenge.complete(self.account, intent)

    def fail_authentication(self, intent: str) -> JSON:
        """The card's owner fails 3-D Secure; returns the intent as it is then."""
        with self.account.held():
            return challenge.fail(self.account, intent)

    # What happens at a bank.

    def settle(self, intent: str, *, succeed: bool = True) -> JSON:
        """Let a PaymentIntent that is ``processing`` succeed or fail; returns it.

        Raises ``ValueError`` if it is not ``processing``.
        """
        with self.account.held():
            return settlement.settle_payment(self.account, intent, succeed=succeed)

    def settle_refund(self, refund: str, status: str) -> JSON:
        """Let a refund become ``status``; returns it.

        That is "succeeded", "failed", "canceled" or "requires_action". A refund that had
        succeeded may still fail. Raises ``ValueError`` if it has failed or been canceled.
        """
        with self.account.held():
            return settlement.settle_refund(self.account, refund, status)

    # What people do in the Dashboard.

    def dashboard_refund(self, charge: str, amount: int | None = None) -> JSON:
        """Give back ``amount`` (smallest unit) of a charge, or all that is left when ``None``.

        Returns the refund. Raises ``Refusal`` where Stripe would refuse a program as well; so do
        all that follow.
        """
        with self.account.held():
            return dashboard.refund(self.account, charge, amount)

    def dashboard_cancel(self, intent: str) -> JSON:
        """Cancel a PaymentIntent; returns it."""
        with self.account.held():
            return dashboard.cancel(self.account, intent)

    def dashboard_delete_customer(self, customer: str) -> JSON:
        """Delete a customer; returns what is left."""
        with self.account.held():
            return dashboard.delete_customer(self.account, customer)

    def dashboard_create_coupon(self, **params: Any) -> JSON:
        """Create a coupon of the API's parameters, as in ``percent_off=25``; returns it."""
        with self.account.held():
            return dashboard.create_coupon(self.account, params)

    def dashboard_edit_coupon(self, coupon: str, **params: Any) -> JSON:
        """Change a coupon's name, metadata or amounts in further currencies; returns it."""
        with self.account.held():
            return dashboard.edit_coupon(self.account, coupon, params)

    def dashboard_delete_coupon(self, coupon: str) -> JSON:
        """Delete a coupon; returns what is left."""
        with self.account.held():
            return dashboard.delete_coupon(self.account, coupon)

    def dashboard_cancel_subscription(
        self, subscription: str, *, at_period_end: bool = False
    ) -> JSON:
        """End a subscription, at once or with the period that it is in; returns it."""
        with self.account.held():
            return dashboard.cancel_subscription(
                self.account, subscription, at_period_end=at_period_end
            )
