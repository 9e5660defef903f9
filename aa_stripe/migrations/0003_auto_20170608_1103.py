"""Customers replace tokens; plans, subscriptions and webhooks are new. A migration of 0.14."""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import migrations, models

USER_MODEL = getattr(settings, "STRIPE_USER_MODEL", None) or settings.AUTH_USER_MODEL


class Migration(migrations.Migration):
    dependencies = [
        ("aa_stripe", "0002_auto_20170607_0714"),
        migrations.swappable_dependency(USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="StripeCustomer",
            fields=[
                (
                    "id",
                    models.AutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("created", models.DateField(auto_now_add=True)),
                ("updated", models.DateTimeField(auto_now=True)),
                ("stripe_response", models.TextField(default="{}")),
                ("stripe_js_response", models.TextField(default="{}")),
                ("stripe_customer_id", models.CharField(max_length=255)),
                ("is_active", models.BooleanField(default=True)),
                ("is_created_at_stripe", models.BooleanField(default=False)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=models.CASCADE, related_name="stripe_customers", to=USER_MODEL
                    ),
                ),
            ],
            options={"ordering": ["id"]},
        ),
        migrations.CreateModel(
            name="StripeSubscription",
            fields=[
                (
                    "id",
                    models.AutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("created", models.DateField(auto_now_add=True)),
                ("updated", models.DateTimeField(auto_now=True)),
                ("stripe_response", models.TextField(default="{}")),
                ("stripe_subscription_id", models.CharField(blank=True, max_length=255)),
                ("is_created_at_stripe", models.BooleanField(default=False)),
                ("status", models.CharField(blank=True, max_length=255)),
                ("metadata", models.TextField(default="{}")),
                (
                    "tax_percent",
                    models.DecimalField(
                        decimal_places=2,
                        default=0,
                        max_digits=3,
                        validators=[MinValueValidator(0), MaxValueValidator(100)],
                    ),
                ),
                (
                    "application_fee_percent",
                    models.DecimalField(decimal_places=2, default=0, max_digits=3),
                ),
                ("coupon", models.CharField(blank=True, max_length=255)),
                (
                    "customer",
                    models.ForeignKey(
                        null=True, on_delete=models.SET_NULL, to="aa_stripe.stripecustomer"
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="StripeSubscriptionPlan",
            fields=[
                (
                    "id",
                    models.AutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("created", models.DateField(auto_now_add=True)),
                ("updated", models.DateTimeField(auto_now=True)),
                ("stripe_response", models.TextField(default="{}")),
                ("is_created_at_stripe", models.BooleanField(default=False)),
                ("source", models.TextField(default="{}")),
                ("amount", models.IntegerField()),
                ("currency", models.CharField(default="USD", max_length=3)),
                ("name", models.CharField(max_length=255)),
                ("interval", models.CharField(max_length=10)),
                (
                    "interval_count",
                    models.IntegerField(default=1, validators=[MinValueValidator(1)]),
                ),
                ("metadata", models.TextField(default="{}")),
                ("statement_descriptor", models.CharField(blank=True, max_length=22)),
                (
                    "trial_period_days",
                    models.IntegerField(default=0, validators=[MinValueValidator(0)]),
                ),
            ],
        ),
        migrations.CreateModel(
            name="StripeWebhook",
            fields=[
                ("id", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("created", models.DateField(auto_now_add=True)),
                ("updated", models.DateTimeField(auto_now=True)),
                ("is_parsed", models.BooleanField(default=False)),
                ("raw_data", models.TextField(default="{}")),
            ],
        ),
        migrations.RemoveField("stripetoken", "user"),
        migrations.RemoveField("stripecharge", "token"),
        migrations.AddField("stripecharge", "stripe_response", models.TextField(default="{}")),
        migrations.DeleteModel("StripeToken"),
        migrations.AddField(
            "stripesubscription",
            "plan",
            models.ForeignKey(on_delete=models.CASCADE, to="aa_stripe.stripesubscriptionplan"),
        ),
        migrations.AddField(
            "stripesubscription",
            "user",
            models.ForeignKey(
                on_delete=models.CASCADE, related_name="stripe_subscriptions", to=USER_MODEL
            ),
        ),
        migrations.AddField(
            "stripecharge",
            "customer",
            models.ForeignKey(null=True, on_delete=models.SET_NULL, to="aa_stripe.stripecustomer"),
        ),
    ]
