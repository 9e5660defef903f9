"""One attempt to collect a charge: the claimed row, its payer, and whether to pay at all."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db import Error as DatabaseFailure

from aa_stripe import gateway
from aa_stripe.exceptions import (
    StripeInternalError,
    StripeMethodNotAllowed,
    StripeNoActiveCustomer,
    StripeUnknownCustomer,
    StripeWrongAccount,
)
from aa_stripe.gateway import Meaning
from aa_stripe.models.claims import Claim, is_stored
from aa_stripe.models.customer import StripeCustomer
from aa_stripe.models.rows import related, reread

if TYPE_CHECKING:
    from aa_stripe.models.charge.model import StripeCharge

logger = logging.getLogger("aa-stripe")

#: The code of a payment that the customer may still complete in a browser.
NEEDS_AUTHENTICATION = "authentication_required"

#: What was read before the confirmation must still be stored when it is sent.
AS_READ = (
    "amount",
    "currency",
    "customer_id",
    "user_id",
    "is_charged",
    "is_manual_charge",
    "charge_attempt_failed",
    "stripe_payment_intent_id",
)


class RowChanged(Exception):
    """The row is not as it was read: read it again before anything is paid."""


@dataclass
class Attempt:
    """A row that this process has claimed in order to collect it.

    With ``only_pending``, a failed or manual row is not paid, but the payment that it may already
    have is recorded.
    """

    charge: StripeCharge
    claim: Claim
    metadata: dict[str, str]
    only_pending: bool
    #: Whether to look for a payment whose id the row has lost.
    look_first: bool
    #: The number in the idempotency keys; committed together with the intent that it creates.
    key_number: int = field(init=False)
    #: Whether the row did not fit the state at Stripe and has been read again.
    is_outdated: bool = field(default=False, init=False)
    #: Whether Stripe has stored a response for the key.
    is_key_used: bool = field(default=False, init=False)
    #: Whether this attempt has requested a change at Stripe.
    has_sent: bool = field(default=False, init=False)
    #: The values to commit for an intent that was created or found, before it is confirmed.
    new_intent: dict[str, Any] = field(default_factory=dict, init=False)
    _may_arrive: bool | None = field(default=None, init=False)
    _payer: StripeCustomer | None = field(default=None, init=False)
    #: The primary keys of the customers that this attempt has refreshed from Stripe.
    _refreshed: set[Any] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self.key_number = self.charge.key_number

    def is_wanted(self) -> bool:
        """Return whether the row is to be paid now."""
        charge = self.charge
        return not (self.only_pending and (charge.charge_attempt_failed or charge.is_manual_charge))

    def require_terms(self) -> None:
        """Raise ``StripeMethodNotAllowed`` if the row has no amount, or its user no customer."""
        self.amount()
        self.payer()

    def amount(self) -> int:
        """Return the amount in the smallest unit; raise if the row has none."""
        amount: int | None = self.charge.amount
        if amount is None:
            raise StripeMethodNotAllowed("The charge has no amount.")
        return amount

    def payer(self) -> StripeCustomer:
        """Return the user's latest active customer; raise if there is none."""
        if self.charge.user_id is None:
            raise StripeNoActiveCustomer("The charge has no user: it was deleted.")
        payer = self._latest_payer()
        if payer is None:
            raise StripeNoActiveCustomer
        return payer

    def card(self) -> str:
        """Return the id of the PaymentMethod that would be charged now, ``""`` if not known."""
        payer = self._latest_payer()
        return payer.default_source if payer is not None else ""

    def payment_method_params(self) -> gateway.PaymentIntentConfirmParams:
        """Return the parameters that choose the payer's default when a payment is confirmed.

        A customer without a default is refreshed first. Raises ``RowChanged`` if it was deleted at
        Stripe.
        """
        payer = self.payer()
        if not payer.default_source and self._refresh(payer) and not payer.is_active:
            raise RowChanged
        return payer.payment_method_params()

    def terms(self) -> tuple[int | None, str]:
        """Return the amount in the smallest unit, and the currency as Stripe writes it."""
        return self.charge.amount, self.charge.currency.lower()

    def _latest_payer(self) -> StripeCustomer | None:
        if self._payer is None:
            self._payer = StripeCustomer.latest_active(self.charge.user_id)
        return self._payer

    def read_again(self) -> None:
        """Read the row and its payer again, after a change by another process.

        Raises ``StripeMethodNotAllowed`` if the row is charged by now, ``StripeInternalError`` if
        another process holds its claim.
        """
        reread(self.charge)
        self._payer, self.key_number = None, self.charge.key_number
        reject_charged(self.charge)
        if self.charge.claim != self.claim.token:
            raise StripeInternalError("The claim of the charge has ended.")

    def write(self, values: dict[str, Any], **expected: Any) -> None:
        """Write to the row; raise ``StripeInternalError`` if it is not as expected any more."""
        if not self.claim.write(values, **expected):
            raise StripeInternalError("Another process has changed the charge.")

    def write_intent(self) -> None:
        """Commit the id of the intent that was created or found, unless it is committed."""
        values, self.new_intent = self.new_intent, {}
        if values:
            self.write(values, stripe_payment_intent_id=self.charge.stripe_payment_intent_id)

    def may_arrive(self) -> bool:
        """Return whether Stripe may still carry out a request of an earlier attempt."""
        if self._may_arrive is None:
            self._may_arrive = self.charge.is_unsettled and self.claim.may_arrive()
        return self._may_arrive

    @contextmanager
    def using_key(self) -> Iterator[None]:
        """Note that the block sends a request with the key, and whether its error is stored."""
        self.has_sent = True
        try:
            yield
        except gateway.StripeError as error:
            self.is_key_used = is_stored(error)
            raise

    @contextmanager
    def keeping_intent(self) -> Iterator[None]:
        """Commit the intent's id if the block raises."""
        try:
            yield
        except BaseException:
            # The error of the block counts; without its id, the intent is found by its key.
            with suppress(StripeInternalError, DatabaseFailure):
                self.write_intent()
            raise

    def use_up_key(self) -> None:
        """Use other idempotency keys from now on: Stripe has stored a response for these."""
        self.key_number += 1
        self.is_key_used = False
        self.write({"key_number": self.key_number})

    def renew(self) -> None:
        """Renew the claim, and make a failed row pending; raise ``RowChanged`` if it has changed.

        From here on a crash leaves a row that the command collects.
        """
        self.may_arrive()  # before this attempt may leave something unknown as well
        as_read = {name: getattr(self.charge, name) for name in AS_READ}
        values = {**self.new_intent, "customer": self.payer(), "charge_attempt_failed": False}
        if not self.claim.renew(values, **as_read):
            raise RowChanged
        self.new_intent = {}

    # Errors that say something about the payer

    def has_other_payer(self, error: gateway.StripeError) -> bool:
        """Return whether the error was about a deleted customer, and the user has another one.

        The deleted one becomes inactive. Raises ``StripeNoActiveCustomer`` if it was the last, and
        ``StripeUnknownCustomer`` if Stripe does not know the customer at all.
        """
        if error.code != "resource_missing" or getattr(error, "param", None) != "customer":
            return False
        payer = self.payer()
        if not _reject_unknown(payer, error):
            return False
        payer.is_active = False
        payer.save()
        self._choose_next_payer(payer)
        return True

    def has_other_card(self, error: gateway.StripeError) -> bool:
        """Return whether the payment failed, and the payer's default at Stripe is another one.

        The error need not name the payment method, so the customer is refreshed after any failure,
        once. If it was deleted, the user's next active customer is used; raises
        ``StripeNoActiveCustomer`` if there is none.
        """
        payer = self._payer
        if payer is None or not self.is_wanted() or not gateway.is_failed_payment(error):
            return False
        card, is_declined = payer.default_source, gateway.meaning_of(error) is Meaning.DECLINED
        if not self._refresh(payer, is_declined=is_declined):
            return False
        if not payer.is_active:
            self._choose_next_payer(payer)
            return True
        if payer.default_source == card or (is_declined and not payer.default_source):
            return False
        self.use_up_key()
        return True

    def _refresh(self, payer: StripeCustomer, *, is_declined: bool = False) -> bool:
        """Refresh the payer from Stripe, once; return whether it was refreshed.

        After a decline only the default is read, because the card exists. If that fails, the
        decline is the outcome.
        """
        if payer.pk in self._refreshed:
            return False
        self._refreshed.add(payer.pk)
        if not is_declined:
            payer.refresh_from_stripe()
            return True
        try:
            StripeCustomer.refresh_default([payer])
        except (gateway.StripeError, StripeInternalError):
            logger.warning("Customer %s could not be refreshed.", payer, exc_info=True)
            return False
        return True

    def _choose_next_payer(self, deleted: StripeCustomer) -> None:
        logger.warning("Customer %s was deleted at Stripe.", deleted)
        self._payer = None
        self.use_up_key()
        self.payer()

    def reject_unknown_customer(self, error: gateway.StripeError) -> None:
        """Raise ``StripeUnknownCustomer`` if Stripe does not know the row's customer either."""
        customer = related(self.charge, "customer")
        if error.code == "resource_missing" and customer is not None:
            _reject_unknown(customer, error)


def reject_charged(charge: StripeCharge) -> None:
    if charge.is_charged:
        raise StripeMethodNotAllowed("Already charged.")


def _reject_unknown(customer: StripeCustomer, error: gateway.StripeError) -> bool:
    """Raise if Stripe does not know the customer; return whether it was deleted there.

    If Stripe does not know the newest other customer, the API key is wrong: the error is
    ``StripeWrongAccount``, else ``StripeUnknownCustomer``.
    """
    found = gateway.find_customer(customer.stripe_customer_id)
    if found is not None:
        return bool(gateway.to_json(found).get("deleted"))
    newest = StripeCustomer.newest_other_than(customer)
    if newest is not None and gateway.find_customer(newest.stripe_customer_id) is not None:
        raise StripeUnknownCustomer(
            f"Stripe does not know the customer {customer}, but it knows {newest}."
        ) from error
    raise StripeWrongAccount(
        f"Stripe does not know the customer {customer}: the API key belongs to another account or "
        "mode (live or test) than the one that created it."
    ) from error
