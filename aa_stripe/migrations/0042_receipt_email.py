"""The address to which Stripe sends the receipt of a charge."""

from __future__ import annotations

from django.db import migrations, models

from aa_stripe.migrations._operations import AddColumn


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0041_subscription_changes")]

    operations = [
        AddColumn(
            "stripecharge",
            "receipt_email",
            models.EmailField(blank=True, default="", max_length=254),
            default="''",
        ),
    ]
