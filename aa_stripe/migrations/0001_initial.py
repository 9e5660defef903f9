"""The charges and tokens of the first release. A migration of 0.14."""

from __future__ import annotations

from django.conf import settings
from django.db import migrations, models

USER_MODEL = getattr(settings, "STRIPE_USER_MODEL", None) or settings.AUTH_USER_MODEL


class Migration(migrations.Migration):
    initial = True

    dependencies = [migrations.swappable_dependency(USER_MODEL)]

    operations = [
        migrations.CreateModel(
            name="StripeCharge",
            fields=[
                (
                    "id",
                    models.AutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("created", models.DateField(auto_now_add=True)),
                ("updated", models.DateTimeField(auto_now=True)),
                ("amount", models.IntegerField(null=True)),
                ("is_charged", models.BooleanField(default=False)),
                ("stripe_charge_id", models.CharField(blank=True, max_length=255)),
                ("description", models.CharField(max_length=255)),
                ("comment", models.CharField(max_length=255)),
            ],
        ),
        migrations.CreateModel(
            name="StripeToken",
            fields=[
                (
                    "id",
                    models.AutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("created", models.DateField(auto_now_add=True)),
                ("updated", models.DateTimeField(auto_now=True)),
                ("content", models.TextField(default="{}")),
                ("customer_id", models.CharField(max_length=255)),
                ("is_active", models.BooleanField(default=True)),
                ("user", models.ForeignKey(on_delete=models.CASCADE, to=USER_MODEL)),
            ],
            options={"ordering": ["id"]},
        ),
        migrations.AddField(
            "stripecharge",
            "token",
            models.ForeignKey(null=True, on_delete=models.SET_NULL, to="aa_stripe.stripetoken"),
        ),
        migrations.AddField(
            "stripecharge", "user", models.ForeignKey(on_delete=models.CASCADE, to=USER_MODEL)
        ),
    ]
