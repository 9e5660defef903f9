"""A process that charges or refunds one row: ``python -m tests.charging.child URL WHAT PK``.

WHAT is ``charge`` or ``refund``. If ``die`` follows, the process kills itself in the receiver of
the first signal. It prints the signals that it sends, and an error of Stripe.
"""

from __future__ import annotations

import os
import signal
import sys

import django
from django.conf import settings

django.setup()

from aa_stripe import signals  # noqa: E402 (models need the set-up)
from aa_stripe.exceptions import StripeError  # noqa: E402
from aa_stripe.models import StripeCharge  # noqa: E402


def connect_receiver(name):
    def receiver(sender, instance, **kwargs):
        if "die" in sys.argv:
            os.kill(os.getpid(), signal.SIGKILL)
        print("signal:", name, flush=True)

    getattr(signals, f"stripe_charge_{name}").connect(receiver, weak=False)


def main(url, what, pk):
    settings.STRIPE_API_BASE = url
    connect_receiver("succeeded")
    connect_receiver("refunded")
    charge = StripeCharge.objects.get(pk=pk)
    try:
        charge.charge() if what == "charge" else charge.refund(400)
    except StripeError as error:
        print("refused:", type(error).__name__, error, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:4])
