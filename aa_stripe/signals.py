"""All signals of this app, with the time and the arguments of each.

The sender is always the model's class. Receivers should be idempotent: if the process crashes
between a commit and its signal, the next run of ``charge_stripe`` sends the signal, and that of
``refresh_subscriptions`` the signal of a subscription.
"""

from __future__ import annotations

from django.dispatch import Signal

#: ``instance``: the StripeCharge that was collected. Sent at least once, after the commit that
#: records the payment; a second time only after a crash.
stripe_charge_succeeded = Signal()

#: ``instance``: the StripeCharge; ``exception``: the SDK's error (``CardError`` or
#: ``InvalidRequestError``). Sent when Stripe refused the payment for good.
stripe_charge_card_exception = Signal()

#: ``instance``: the StripeCharge; ``exception``: the SDK's ``CardError``. Sent after
#: ``stripe_charge_card_exception`` if the customer has to authenticate the payment.
stripe_charge_requires_action = Signal()

#: ``instance``: the StripeCharge. Sent when ``amount_refunded`` has grown.
stripe_charge_refunded = Signal()

#: ``instance``: the StripeSubscription. Sent once for each invoice whose payment the customer has
#: to authenticate, the first one or that of a renewal, after the commit that records it.
stripe_subscription_requires_action = Signal()

#: ``instance``: the StripeWebhook, before it is applied; ``event_type``: Stripe's type, such as
#: ``coupon.created``; ``event_model`` and ``event_action``: its two parts, both ``None``
#: for ``ping``.
webhook_pre_parse = Signal()
