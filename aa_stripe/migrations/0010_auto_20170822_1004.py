"""Coupons; subscriptions had a coupon's id as text. A migration of 0.14."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def check_coupons(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Raise ``CommandError`` if a subscription names a coupon.

    0.14 retrieved these coupons from Stripe here. This migration does not call Stripe.
    """
    subscriptions = apps.get_model("aa_stripe", "StripeSubscription").objects
    count = subscriptions.using(schema_editor.connection.alias).exclude(coupon="").count()
    if count:
        raise CommandError(
            f"Subscriptions that name a coupon: {count}. Only aa-stripe 0.14 can migrate them, "
            "with coupons that it retrieves from Stripe. Nothing was changed. Install aa-stripe "
            '0.14 (or 0.13.0) again, run "migrate aa_stripe" with it, then upgrade.'
        )


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0009_auto_20170725_1205")]

    operations = [
        migrations.RunPython(check_coupons, migrations.RunPython.noop),
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
                ("currency", models.CharField(blank=True, default="usd", max_length=3, null=True)),
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
            ],
        ),
        migrations.RemoveField("stripesubscription", "coupon"),
        migrations.AddField(
            "stripesubscription",
            "coupon",
            models.ForeignKey(
                blank=True, null=True, on_delete=models.SET_NULL, to="aa_stripe.stripecoupon"
            ),
        ),
    ]
