"""The payer may be another model than the user. A migration of 0.14."""

from __future__ import annotations

from django.conf import settings
from django.db import migrations, models

USER_MODEL = getattr(settings, "STRIPE_USER_MODEL", None) or settings.AUTH_USER_MODEL


class Migration(migrations.Migration):
    dependencies = [
        ("aa_stripe", "0006_subscription_end_cancel"),
        migrations.swappable_dependency(USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            "stripecharge",
            "user",
            models.ForeignKey(
                on_delete=models.CASCADE, related_name="stripe_charges", to=USER_MODEL
            ),
        ),
        migrations.AlterField(
            "stripecustomer",
            "user",
            models.ForeignKey(
                on_delete=models.CASCADE, related_name="stripe_customers", to=USER_MODEL
            ),
        ),
        migrations.AlterField(
            "stripesubscription",
            "user",
            models.ForeignKey(
                on_delete=models.CASCADE, related_name="stripe_subscriptions", to=USER_MODEL
            ),
        ),
    ]
