"""Charges that no command collects. A migration of 0.14."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0016_stripecharge_is_refunded")]

    operations = [
        migrations.AddField("stripecharge", "is_manual_charge", models.BooleanField(default=False)),
    ]
