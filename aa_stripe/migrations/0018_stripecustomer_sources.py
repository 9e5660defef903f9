"""The cards of a customer. A migration of 0.14."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0017_stripecharge_manual_charge")]

    operations = [
        migrations.AddField("stripecustomer", "sources", models.TextField(default="[]")),
    ]
