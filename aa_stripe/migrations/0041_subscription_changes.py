"""What is changed at a subscription at Stripe: its end, a pause, its price, its invoice."""

from __future__ import annotations

from django.db import migrations, models

from aa_stripe.fields import ExactCharField
from aa_stripe.migrations._operations import AddColumn, AddField

MODEL = "stripesubscription"


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0040_job_runs")]

    operations = [
        AddField(MODEL, "cancel_at", models.DateTimeField(blank=True, null=True)),
        AddColumn(
            MODEL,
            "pause_collection",
            models.CharField(blank=True, max_length=32),
            default="''",
        ),
        AddColumn(
            MODEL,
            "stripe_price_id",
            ExactCharField(blank=True, max_length=255),
            default="''",
        ),
        AddColumn(MODEL, "requires_action", models.BooleanField(default=False), default="false"),
        AddColumn(
            MODEL,
            "latest_invoice_id",
            ExactCharField(blank=True, max_length=255),
            default="''",
        ),
        AddColumn(
            MODEL,
            "announced_invoice_id",
            ExactCharField(blank=True, editable=False, max_length=255),
            default="''",
        ),
    ]
