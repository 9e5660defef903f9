"""Claims: which process works on a charge or refund, and whether its outcome is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db import migrations, models

from aa_stripe.migrations._operations import AddColumn, AddField, AddIndex, RemoveIndex


def time() -> models.DateTimeField[Any, Any]:
    return models.DateTimeField(blank=True, editable=False, null=True)


def number() -> models.PositiveIntegerField[Any, Any]:
    return models.PositiveIntegerField(default=0, editable=False)


def claims(model: str) -> Iterator[AddField]:
    token = models.CharField(blank=True, default="", editable=False, max_length=32)
    flag = models.BooleanField(default=False, editable=False)
    yield AddColumn(model, "claim", token, default="''")
    yield AddField(model, "claimed_until", time())
    yield AddColumn(model, "is_unsettled", flag, default="false")
    yield AddField(model, "retry_at", time())
    yield AddColumn(model, "attempts", number(), default="0")
    yield AddField(model, "sent_at", time())
    yield AddColumn(model, "key_number", number(), default="0")


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0033_parsed_with_error")]

    operations = [
        *claims("stripecharge"),
        *claims("striperefund"),
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
