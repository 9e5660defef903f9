"""Keep the rows of what is deleted: their foreign keys may be NULL, and new columns name it."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models

from aa_stripe.deletion import (
    keep_ended,
    keep_ended_with_user_key,
    keep_source_type,
    keep_user_key,
)
from aa_stripe.fields import ExactCharField
from aa_stripe.migrations._operations import AddColumn, AllowNull
from aa_stripe.settings import stripe_settings

USER_MODEL = stripe_settings.user_model


def of_user(on_delete: Any, name: str) -> models.ForeignKey[Any, Any]:
    return models.ForeignKey(USER_MODEL, on_delete, null=True, related_name=name)


def user_key() -> ExactCharField[Any, Any]:
    return ExactCharField(blank=True, default="", editable=False, max_length=255)


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0042_receipt_email")]

    operations = [
        AddColumn("stripecharge", "user_key", user_key(), default="''"),
        AddColumn(
            "stripecharge",
            "source_type",
            models.CharField(blank=True, default="", editable=False, max_length=255),
            default="''",
        ),
        AddColumn("stripecustomer", "user_key", user_key(), default="''"),
        AddColumn("stripesubscription", "user_key", user_key(), default="''"),
        AllowNull("stripecharge", "user", of_user(keep_user_key, "stripe_charges")),
        AllowNull("stripecustomer", "user", of_user(keep_user_key, "stripe_customers")),
        AllowNull(
            "stripesubscription", "user", of_user(keep_ended_with_user_key, "stripe_subscriptions")
        ),
        AllowNull(
            "stripesubscription",
            "plan",
            models.ForeignKey("aa_stripe.stripesubscriptionplan", keep_ended, null=True),
        ),
        AllowNull(
            "striperefund",
            "charge",
            models.ForeignKey(
                "aa_stripe.stripecharge", keep_ended, null=True, related_name="refunds"
            ),
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    "stripesubscription",
                    "customer",
                    models.ForeignKey(
                        "aa_stripe.stripecustomer", keep_ended, blank=True, null=True
                    ),
                ),
                migrations.AlterField(
                    "stripecharge",
                    "content_type",
                    models.ForeignKey(
                        "contenttypes.contenttype", keep_source_type, blank=True, null=True
                    ),
                ),
            ]
        ),
    ]
