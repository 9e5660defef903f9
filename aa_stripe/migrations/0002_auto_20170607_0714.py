"""The response of Stripe.js gets its name, and the user its related names. A migration of 0.14."""

from __future__ import annotations

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("aa_stripe", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RenameField("stripetoken", "content", "stripe_js_response"),
        migrations.AlterField(
            "stripecharge",
            "user",
            models.ForeignKey(
                on_delete=models.CASCADE, related_name="stripe_charges", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AlterField(
            "stripetoken",
            "user",
            models.ForeignKey(
                on_delete=models.CASCADE, related_name="stripe_tokens", to=settings.AUTH_USER_MODEL
            ),
        ),
    ]
