"""Time that passes both at Stripe and for the rows."""

from __future__ import annotations

from django.db.models import F

from aa_stripe.models import StripeCharge, StripeCustomer, StripeRefund, StripeSubscription
from aa_stripe.models.claims import Claimable

TIMES_OF_CLAIMS = ("claimed_until", "retry_at", "sent_at")

WITH_KEYS = (StripeCharge, StripeCustomer, StripeRefund, StripeSubscription)


def let_pass(fake, pause):
    """Advance Stripe's clock by ``pause`` and make every row that much older."""
    if not pause:
        return
    fake.advance(pause.total_seconds())
    for model in WITH_KEYS:
        model.objects.update(created=F("created") - pause)
        if issubclass(model, Claimable):
            model.objects.update(**{name: F(name) - pause for name in TIMES_OF_CLAIMS})


def make_due():
    """End the delay of every charge and refund that had no outcome."""
    for model in (StripeCharge, StripeRefund):
        model.objects.update(retry_at=None)
