"""This app's exceptions. The class attribute ``details`` is the default message, translated.

The messages of 0.14's exceptions are 0.14's to the letter: projects compare them.
"""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from aa_stripe.settings import stripe_settings


class StripeError(Exception):
    """The common base of this app's exceptions; not one of Stripe's own."""

    details: str | Promise = _("Stripe error.")

    def __init__(self, details: str | Promise | None = None) -> None:
        if details is not None:
            self.details = details
        super().__init__(self.details)

    def __str__(self) -> str:
        return str(self.details)

    @property
    def message(self) -> str:
        """Return the text, as ``str()`` does."""
        return str(self.details)


class StripeMethodNotAllowed(StripeError):
    """A call that the object's state does not allow."""

    details = _("Already created at stripe")


class StripeNoActiveCustomer(StripeMethodNotAllowed):
    """The user has no active customer at Stripe, so there is no customer to charge."""

    details = _("The user has no active customer at Stripe.")


class StripeInternalError(StripeError):
    """Stripe gave no usable response: the outcome is unknown and was not recorded.

    The cause (``__cause__``) is the SDK's error, if there is one. A retry is safe.
    """

    details = _("Temporary Stripe API error")


class StripeInProgress(StripeInternalError):
    """Another process works on the same charge, refund or subscription; this call sent nothing.

    A retry is safe.
    """

    details = _("Another process is working on this payment.")


class StripeTooSlow(StripeInternalError):
    """Stripe took so long that this process may not send more: its claim of the row ends."""

    details = _("Stripe took so long that the claim of the row has ended.")


class StripeUnknownCustomer(StripeError):
    """Stripe does not know the customer of a row; nothing is recorded on the row.

    The customer belongs to another account, or to another mode (live or test), than the API key.
    """

    details = _("Stripe does not know the customer.")


class StripeWrongAccount(StripeUnknownCustomer):
    """Stripe does not know the site's newest other customer either: the API key is wrong."""

    details = _("The API key belongs to another Stripe account or mode than the customer.")


class StripeInTransaction(StripeError):
    """A payment was requested inside a transaction, whose rollback would lose the record of it.

    Nothing was sent to Stripe. See the setting ``STRIPE_TRANSACTIONS``.
    """

    details = _(
        "A payment cannot be requested inside a database transaction: if the transaction is rolled "
        "back, the money has moved and nothing says so. Call the method after the commit, as in "
        "transaction.on_commit(charge.charge)."
    )


class StripeCouponAlreadyExists(StripeError):
    """A coupon with that id and creation time is already stored."""

    details = _("Coupon with this coupon_id and creation date already exists")


class StripeWebhookAlreadyParsed(StripeError):
    """The webhook was already applied."""

    details = _("This webhook has already been parsed")


class StripeWebhookParseError(StripeError):
    """A handler's rejection of an event; the message is stored in ``parse_error``."""

    details = _("Unable to parse webhook")


class StripeWebhookRowMissing(StripeError):
    """The row of an event does not exist (yet); the event is applied again later."""

    details = _("The row of this event does not exist yet.")


class StripeWebhookInProgress(StripeError):
    """Another process is applying the event; a later delivery applies it if that one fails."""

    details = _("Another process is applying this event; please send it again later.")


class StripeWebhookTooSlow(StripeError):
    """The handlers took longer than ``STRIPE_WEBHOOK_HANDLER_TIMEOUT``, so the claim has ended.

    Another process has claimed the event, or ``process_webhooks`` has given it up and will retry
    it. What the handlers wrote is rolled back.
    """

    details = _("The handlers took so long that another process has claimed the event.")


class StripeWebhookRefused(StripeError):
    """The delivered body is not an event that Stripe has signed for us; nothing was stored.

    The message is for the sender. ``reason`` is for the site's log, and may say more.
    """

    details = _("This is not an event signed by Stripe.")

    def __init__(self, details: str | Promise | None = None, reason: object = None) -> None:
        super().__init__(details)
        self.reason = str(reason or self.details)


class StripeWebhookNotConfigured(StripeWebhookRefused):
    """``STRIPE_WEBHOOK_ENDPOINT_SECRET`` is not set, so no signature can be verified."""

    details = _("Webhooks are not configured.")


class StripePendingWebhooksLimitExceeded(StripeError):
    """More than ``STRIPE_PENDING_WEBHOOKS_THRESHOLD`` events were not delivered."""

    details = _("Pending webhooks threshold limit exceeded")

    @property
    def message(self) -> str:
        """Return 0.14's message. ``str()`` also says how many events are missing and where."""
        threshold = stripe_settings.PENDING_WEBHOOKS_THRESHOLD
        return f"Pending webhooks threshold limit exceeded, current threshold is {threshold}"
