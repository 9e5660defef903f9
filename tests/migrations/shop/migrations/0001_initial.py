"""A migration written for aa-stripe 0.14."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0014_stripecharge_charge_attempt_failed")]

    operations = [
        migrations.CreateModel(
            "Order",
            [
                ("id", models.AutoField(primary_key=True, serialize=False)),
                ("charge", models.ForeignKey("aa_stripe.StripeCharge", models.CASCADE)),
            ],
        ),
        migrations.CreateModel(
            "Payout",
            [
                ("id", models.AutoField(primary_key=True, serialize=False)),
                ("created", models.DateTimeField(auto_now_add=True)),
                ("updated", models.DateTimeField(auto_now=True)),
                ("stripe_response", models.TextField(default="{}")),
            ],
        ),
    ]
