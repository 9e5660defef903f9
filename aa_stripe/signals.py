"""Every signal of this app: when it is sent, and with what.

The sender is always the model's class. Receivers should be idempotent: after a crash between
a commit and its signal, the signal is sent by the next run of ``charge_stripe``.
"""

from __future__ import annotations

from django.dispatch import Signal

#: ``instance``: the StripeCharge whose money was collected. Sent once a charge, after the
#: commit that says so.
stripe_charge_succeeded = Signal()

#: ``instance``: the StripeCharge; ``exception``: the SDK's error (``CardError`` or
#: ``InvalidRequestError``). Sent when Stripe refused the payment for good.
stripe_charge_card_exception = Signal()

#: ``instance``: the StripeCharge; ``exception``: the SDK's ``CardError``. Sent besides
#: ``stripe_charge_card_exception`` when the customer has to authenticate the payment.
stripe_charge_requires_action = Signal()

#: ``instance``: the StripeCharge. Sent when ``amount_refunded`` has grown.
stripe_charge_refunded = Signal()

#: ``instance``: the StripeWebhook about to be applied; ``event_type``: Stripe's, such as
#: ``coupon.created``; ``event_model`` and ``event_action``: its two parts, both ``None``
#: for ``ping``.
webhook_pre_parse = Signal()
