"""What this app raises. Each class says in ``details`` what happened, translated."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class StripeError(Exception):
    """The common base of this app's exceptions; not one of Stripe's own."""

    details: str | Promise = _("Stripe error.")

    def __init__(self, details: str | Promise | None = None) -> None:
        if details is not None:
            self.details = details
        super().__init__(self.details)

    def __str__(self) -> str:
        return str(self.details)


class StripeMethodNotAllowed(StripeError):
    """The object's state does not allow what was asked."""

    details = _("Already created at stripe.")


class StripeNoActiveCustomer(StripeMethodNotAllowed):
    """The user has no active customer that exists at Stripe, so nothing can be collected."""

    details = _("The user has no active customer at Stripe.")


class StripeInternalError(StripeError):
    """Stripe gave no usable answer, so nothing is known and nothing was concluded.

    The cause (``__cause__``) is the SDK's error. Trying again later is safe.
    """

    details = _("Stripe API returned an error, please try again later.")


class StripeCouponAlreadyExists(StripeError):
    """A coupon of that id and creation time is stored already."""

    details = _("Coupon with this coupon_id and creation date already exists.")


class StripeWebhookAlreadyParsed(StripeError):
    """The webhook was applied already."""

    details = _("This webhook has already been parsed.")


class StripeWebhookParseError(StripeError):
    """Raised by a webhook handler to have its message kept on the webhook's row."""

    details = _("Unable to parse webhook.")


class StripeWebhookRefused(StripeError):
    """What was delivered is no event that Stripe has signed for us; nothing was stored."""

    details = _("This is no event signed by Stripe.")


class StripeWebhookNotConfigured(StripeWebhookRefused):
    """``STRIPE_WEBHOOK_ENDPOINT_SECRET`` is not set, so nobody can tell who has sent it."""

    details = _("Webhooks are not set up here.")


class StripePendingWebhooksLimitExceeded(StripeError):
    """More events than ``STRIPE_PENDING_WEBHOOKS_THRESHOLD`` have not arrived."""

    details = _("Too many webhooks are pending.")
