"""The charges that events are about, made by the code of the site that receives the events.

``python -m bench.webhook_rows charged 5000`` replaces all charges by as many that are charged
already; ``pending`` makes charges that were requested and are not settled yet. It prints what the
events have to know of them.
"""

from __future__ import annotations

import json
import sys

import django

django.setup()

from aa_stripe.models import StripeCharge, StripeCustomer  # noqa: E402
from bench import rows  # noqa: E402
from bench.deliveries import Row  # noqa: E402
from bench.stripe_stub import AMOUNT, charge_of, intent_of  # noqa: E402

BATCH = 1000  # rows of one INSERT


def main(state: str, number: int) -> None:
    rows.clear()
    rows.ensure_customers()
    customers = list(StripeCustomer.objects.all())
    charges = [
        new_charge(customers[count % len(customers)], count, is_charged=state == "charged")
        for count in range(number)
    ]
    StripeCharge.objects.bulk_create(charges, batch_size=BATCH)
    rows.analyze()
    print(json.dumps([described(charge) for charge in charges]))


def new_charge(customer: StripeCustomer, number: int, *, is_charged: bool) -> StripeCharge:
    intent = intent_of(customer.stripe_customer_id, number)
    return StripeCharge(
        user_id=customer.user_id,
        customer=customer,
        amount=AMOUNT,
        stripe_payment_intent_id=intent,
        is_charged=is_charged,
        stripe_charge_id=charge_of(intent) if is_charged else "",
    )


def described(charge: StripeCharge) -> Row:
    return {
        "intent": charge.stripe_payment_intent_id,
        "customer": charge.customer.stripe_customer_id,
        "uuid": str(charge.uuid),
    }


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
