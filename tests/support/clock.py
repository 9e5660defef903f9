"""Time that passes both at Stripe and for the rows."""

from __future__ import annotations

from django.db.models import F

from aa_stripe.models import StripeCharge, StripeRefund, StripeSubscription

WITH_KEYS = (StripeCharge, StripeRefund, StripeSubscription)


def let_pass(fake, pause):
    """Advance Stripe's clock by ``pause`` and make every row that much older."""
    if not pause:
        return
    fake.advance(pause.total_seconds())
    for model in WITH_KEYS:
        model.objects.update(created=F("created") - pause)
