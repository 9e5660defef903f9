"""Ids that differ in letter case are different ids on MySQL and MariaDB too.

Their columns get a binary collation there, which rebuilds the tables. Nothing changes on PostgreSQL
and SQLite.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.db import migrations

from aa_stripe.fields import ExactCharField, ExactUUIDField
from aa_stripe.migrations._collation import AlterCollations


def row_id() -> ExactUUIDField[Any, Any]:
    return ExactUUIDField(default=uuid.uuid4, editable=False, unique=True)


def stripe_id(**options: Any) -> ExactCharField[Any, Any]:
    return ExactCharField(blank=True, max_length=255, **options)


def claim() -> ExactCharField[Any, Any]:
    return ExactCharField(blank=True, default="", editable=False, max_length=32)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("aa_stripe", "0038_webhook_claims")]

    operations = [
        AlterCollations(
            {
                "stripewebhook": {
                    "id": ExactCharField(max_length=255, primary_key=True, serialize=False)
                },
                "stripecustomer": {
                    "uuid": row_id(),
                    "stripe_customer_id": stripe_id(db_index=True),
                    "default_source": stripe_id(),
                    "submitted_token": ExactCharField(editable=False, max_length=255, null=True),
                },
                "stripecoupon": {
                    "uuid": row_id(),
                    "coupon_id": stripe_id(db_index=True),
                    "identity": ExactCharField(
                        editable=False, max_length=64, null=True, unique=True
                    ),
                },
                "stripesubscriptionplan": {
                    "uuid": row_id(),
                    "stripe_plan_id": stripe_id(db_index=True),
                },
                "stripecharge": {
                    "uuid": row_id(),
                    "stripe_payment_intent_id": stripe_id(db_index=True),
                    "stripe_charge_id": stripe_id(db_index=True),
                    "stripe_refund_id": stripe_id(db_index=True),
                    "claim": claim(),
                },
                "striperefund": {
                    "uuid": row_id(),
                    "stripe_refund_id": stripe_id(db_index=True),
                    "claim": claim(),
                },
                "stripesubscription": {
                    "uuid": row_id(),
                    "stripe_subscription_id": stripe_id(db_index=True),
                    "claim": claim(),
                },
            }
        )
    ]
