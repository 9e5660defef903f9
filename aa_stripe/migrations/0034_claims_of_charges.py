"""Claims: which process works on a charge, and whether its payment's outcome is known."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models

from aa_stripe.migrations._operations import AddColumn, AddField, AddIndex, RemoveIndex


def time() -> models.DateTimeField[Any, Any]:
    return models.DateTimeField(blank=True, editable=False, null=True)


def number() -> models.PositiveIntegerField[Any, Any]:
    return models.PositiveIntegerField(default=0, editable=False)


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0033_parsed_with_error")]

    operations = [
        AddColumn(
            "stripecharge",
            "claim",
            models.CharField(blank=True, default="", editable=False, max_length=32),
            default="''",
        ),
        AddField("stripecharge", "claimed_until", time()),
        AddColumn(
            "stripecharge",
            "is_unsettled",
            models.BooleanField(default=False, editable=False),
            default="false",
        ),
        AddField("stripecharge", "retry_at", time()),
        AddColumn("stripecharge", "attempts", number(), default="0"),
        AddField("stripecharge", "sent_at", time()),
        AddColumn("stripecharge", "key_number", number(), default="0"),
        AddIndex(
            "stripecharge",
            models.Index(
                fields=[
                    "is_charged",
                    "is_unsettled",
                    "charge_attempt_failed",
                    "is_manual_charge",
                    "attempts",
                    "id",
                ],
                name="aa_stripe_charge_open",
            ),
        ),
        RemoveIndex("stripecharge", "aa_stripe_charge_pending"),
    ]
