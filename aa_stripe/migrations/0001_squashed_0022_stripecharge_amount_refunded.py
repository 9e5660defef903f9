"""The schema of 0.14, which created it with 22 migrations.

A site that upgrades from 0.14 has applied these 22, so Django skips this one. It is for new sites
and for ``--fake-initial``. The files of the 22 are kept because migrations of a site may depend on
them. 0.14 stored JSON as text.
"""

from __future__ import annotations

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import migrations, models

USER_MODEL = getattr(settings, "STRIPE_USER_MODEL", None) or settings.AUTH_USER_MODEL


class Migration(migrations.Migration):
    initial = True

    replaces = [
        ("aa_stripe", "0001_initial"),
        ("aa_stripe", "0002_auto_20170607_0714"),
        ("aa_stripe", "0003_auto_20170608_1103"),
        ("aa_stripe", "0004_auto_20170613_0419"),
        ("aa_stripe", "0005_auto_20170613_0614"),
        ("aa_stripe", "0006_subscription_end_cancel"),
        ("aa_stripe", "0007_auto_20170630_0557"),
        ("aa_stripe", "0008_auto_20170630_0734"),
        ("aa_stripe", "0009_auto_20170725_1205"),
        ("aa_stripe", "0010_auto_20170822_1004"),
        ("aa_stripe", "0011_auto_20170907_1201"),
        ("aa_stripe", "0012_auto_20170908_1150"),
        ("aa_stripe", "0013_stripesubscription_at_period_end"),
        ("aa_stripe", "0014_stripecharge_charge_attempt_failed"),
        ("aa_stripe", "0015_auto_20170925_0838"),
        ("aa_stripe", "0016_stripecharge_is_refunded"),
        ("aa_stripe", "0017_stripecharge_manual_charge"),
        ("aa_stripe", "0018_stripecustomer_sources"),
        ("aa_stripe", "0019_stripecustomer_default_source"),
        ("aa_stripe", "0020_stripecharge_statement_descriptor"),
        ("aa_stripe", "0021_auto_20190906_1623"),
        ("aa_stripe", "0022_stripecharge_amount_refunded"),
    ]

    dependencies = [
        ("contenttypes", "0002_remove_content_type_name"),
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
                ("created", models.DateTimeField(auto_now_add=True)),
                ("updated", models.DateTimeField(auto_now=True)),
                ("stripe_response", models.TextField(default="{}")),
                ("stripe_js_response", models.TextField(default="{}")),
                ("stripe_customer_id", models.CharField(db_index=True, max_length=255)),
                ("is_active", models.BooleanField(default=True)),
                ("is_created_at_stripe", models.BooleanField(default=False)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=models.CASCADE, related_name="stripe_customers", to=USER_MODEL
                    ),
                ),
                ("sources", models.TextField(default="[]")),
                ("default_source", models.CharField(blank=True, max_length=255)),
            ],
            options={"ordering": ["id"]},
        ),
        migrations.CreateModel(
            name="StripeCoupon",
            fields=[
                (
                    "id",
                    models.AutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("updated", models.DateTimeField(auto_now=True)),
                ("stripe_response", models.TextField(default="{}")),
                ("coupon_id", models.CharField(max_length=255)),
                (
                    "amount_off",
                    models.DecimalField(blank=True, decimal_places=2, max_digits=10, null=True),
                ),
                ("duration", models.CharField(max_length=255)),
                ("duration_in_months", models.PositiveIntegerField(blank=True, null=True)),
                ("livemode", models.BooleanField(default=False)),
                ("max_redemptions", models.PositiveIntegerField(blank=True, null=True)),
                ("metadata", models.TextField(default="{}")),
                ("percent_off", models.PositiveIntegerField(blank=True, null=True)),
                ("redeem_by", models.DateTimeField(blank=True, null=True)),
                ("times_redeemed", models.PositiveIntegerField(default=0)),
                ("valid", models.BooleanField(default=False)),
                ("created", models.DateTimeField()),
                ("is_deleted", models.BooleanField(default=False)),
                ("is_created_at_stripe", models.BooleanField(default=False)),
                ("currency", models.CharField(blank=True, max_length=3, null=True)),
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
                ("created", models.DateTimeField(auto_now_add=True)),
                ("updated", models.DateTimeField(auto_now=True)),
                ("stripe_response", models.TextField(default="{}")),
                ("is_created_at_stripe", models.BooleanField(default=False)),
                ("source", models.TextField(default="{}")),
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
                ("amount", models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="StripeCharge",
            fields=[
                (
                    "id",
                    models.AutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("created", models.DateTimeField(auto_now_add=True)),
                ("updated", models.DateTimeField(auto_now=True)),
                ("amount", models.IntegerField(blank=True, null=True)),
                ("is_charged", models.BooleanField(default=False)),
                ("stripe_charge_id", models.CharField(blank=True, db_index=True, max_length=255)),
                ("description", models.CharField(blank=True, max_length=255)),
                ("comment", models.CharField(blank=True, max_length=255)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=models.CASCADE, related_name="stripe_charges", to=USER_MODEL
                    ),
                ),
                ("stripe_response", models.TextField(default="{}")),
                (
                    "customer",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.SET_NULL,
                        to="aa_stripe.stripecustomer",
                    ),
                ),
                (
                    "content_type",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.CASCADE,
                        to="contenttypes.contenttype",
                    ),
                ),
                ("object_id", models.PositiveIntegerField(blank=True, db_index=True, null=True)),
                ("charge_attempt_failed", models.BooleanField(default=False)),
                ("is_refunded", models.BooleanField(default=False)),
                ("stripe_refund_id", models.CharField(blank=True, db_index=True, max_length=255)),
                ("is_manual_charge", models.BooleanField(default=False)),
                ("statement_descriptor", models.CharField(blank=True, max_length=22)),
                ("amount_refunded", models.IntegerField(blank=True, default=0, null=True)),
            ],
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
                ("created", models.DateTimeField(auto_now_add=True)),
                ("updated", models.DateTimeField(auto_now=True)),
                ("stripe_response", models.TextField(default="{}")),
                (
                    "stripe_subscription_id",
                    models.CharField(blank=True, db_index=True, max_length=255),
                ),
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
                    "customer",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.SET_NULL,
                        to="aa_stripe.stripecustomer",
                    ),
                ),
                (
                    "plan",
                    models.ForeignKey(
                        on_delete=models.CASCADE, to="aa_stripe.stripesubscriptionplan"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=models.CASCADE,
                        related_name="stripe_subscriptions",
                        to=USER_MODEL,
                    ),
                ),
                ("end_date", models.DateField(blank=True, db_index=True, null=True)),
                ("canceled_at", models.DateTimeField(blank=True, db_index=True, null=True)),
                (
                    "coupon",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.SET_NULL,
                        to="aa_stripe.stripecoupon",
                    ),
                ),
                ("at_period_end", models.BooleanField(default=False)),
            ],
        ),
        migrations.CreateModel(
            name="StripeWebhook",
            fields=[
                (
                    "id",
                    models.CharField(max_length=255, primary_key=True, serialize=False),
                ),
                ("created", models.DateTimeField(auto_now_add=True)),
                ("updated", models.DateTimeField(auto_now=True)),
                ("is_parsed", models.BooleanField(default=False)),
                ("raw_data", models.TextField(default="{}")),
                ("parse_error", models.TextField(blank=True)),
            ],
            options={"ordering": ["-created"]},
        ),
    ]
