"""Refunds. A migration of 0.14."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0015_auto_20170925_0838")]

    operations = [
        migrations.AddField("stripecharge", "is_refunded", models.BooleanField(default=False)),
        migrations.AddField(
            "stripecharge", "stripe_refund_id", models.CharField(blank=True, max_length=255)
        ),
    ]
