"""Indexes of Stripe's ids. A migration of 0.14."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0004_auto_20170613_0419")]

    operations = [
        migrations.AlterField(
            "stripecharge",
            "stripe_charge_id",
            models.CharField(blank=True, db_index=True, max_length=255),
        ),
        migrations.AlterField(
            "stripecustomer", "stripe_customer_id", models.CharField(db_index=True, max_length=255)
        ),
        migrations.AlterField(
            "stripesubscription",
            "stripe_subscription_id",
            models.CharField(blank=True, db_index=True, max_length=255),
        ),
    ]
