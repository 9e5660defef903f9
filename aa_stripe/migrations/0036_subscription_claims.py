"""Claims of subscriptions: which process creates one, and whether its outcome is known.

The number of refusals was the number in the idempotency key already, so it keeps its column.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations, models

from aa_stripe.migrations._operations import AddColumn, AddField

MODEL = "stripesubscription"


def time() -> models.DateTimeField[Any, Any]:
    return models.DateTimeField(blank=True, editable=False, null=True)


def number(**options: Any) -> models.PositiveIntegerField[Any, Any]:
    return models.PositiveIntegerField(default=0, editable=False, **options)


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0035_unsettled_charges")]

    operations = [
        AddColumn(
            MODEL,
            "claim",
            models.CharField(blank=True, default="", editable=False, max_length=32),
            default="''",
        ),
        AddField(MODEL, "claimed_until", time()),
        AddColumn(
            MODEL,
            "is_unsettled",
            models.BooleanField(default=False, editable=False),
            default="false",
        ),
        AddField(MODEL, "retry_at", time()),
        AddColumn(MODEL, "attempts", number(), default="0"),
        AddField(MODEL, "sent_at", time()),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RenameField(MODEL, "refusals", "key_number"),
                migrations.AlterField(MODEL, "key_number", number(db_column="refusals")),
            ]
        ),
    ]
