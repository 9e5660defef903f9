"""New columns, wider numbers, and indexes for the queries of the jobs.

``uuid`` takes three steps, because a default would give every row the same value: an empty column
here, values in 0027, a unique index in 0028.
"""

from __future__ import annotations

import uuid
from typing import Any

import django.utils.timezone
import model_utils.fields
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import migrations, models

import aa_stripe.settings
from aa_stripe.migrations._operations import (
    AddConstraint,
    AddField,
    AddIndex,
    CreateModel,
    IndexField,
    Widen,
)

IN_SMALLEST_UNIT = "In the currency's smallest unit (cents)."

CURRENCIES = """
    usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bhd bif bmd bnd bob brl bsd btn
    bwp byn bzd cad cdf chf clp cny cop crc cve czk djf dkk dop dzd eek egp etb eur fjd fkp gbp
    gel ghs gip gmd gnf gtq gyd hkd hnl hrk htg huf idr ils inr isk jmd jod jpy kes kgs khr kmf
    krw kwd kyd kzt lak lbp lkr lrd lsl ltl lvl mad mdl mga mkd mmk mnt mop mro mur mvr mwk mxn
    myr mzn nad ngn nio nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd
    scr sek sgd shp sle sll sos srd std svc szl thb tjs tnd top try ttd twd tzs uah ugx uyu uzs
    vef vnd vuv wst xaf xcd xcg xof xpf yer zar zmw
"""


def created() -> models.DateTimeField[Any, Any]:
    return model_utils.fields.AutoCreatedField(
        default=django.utils.timezone.now, editable=False, verbose_name="created"
    )


def updated() -> models.DateTimeField[Any, Any]:
    return model_utils.fields.AutoLastModifiedField(
        default=django.utils.timezone.now, editable=False, verbose_name="updated"
    )


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0025_native_json")]

    operations = [
        # Customers
        AddField("stripecustomer", "uuid", models.UUIDField(editable=False, null=True)),
        AddField(
            "stripecustomer",
            "submitted_token",
            models.CharField(editable=False, max_length=255, null=True),
        ),
        AddConstraint(
            "stripecustomer",
            models.UniqueConstraint(
                fields=("user", "submitted_token"), name="aa_stripe_customer_token"
            ),
        ),
        migrations.CreateModel(
            name="StripeToken",
            fields=[],
            options={"ordering": ["id"], "proxy": True, "indexes": [], "constraints": []},
            bases=("aa_stripe.stripecustomer",),
        ),
        # Coupons
        AddField("stripecoupon", "uuid", models.UUIDField(editable=False, null=True)),
        AddField("stripecoupon", "name", models.CharField(blank=True, max_length=40)),
        Widen(
            "stripecoupon",
            "amount_off",
            models.DecimalField(blank=True, decimal_places=3, max_digits=15, null=True),
        ),
        Widen(
            "stripecoupon",
            "percent_off",
            models.DecimalField(blank=True, decimal_places=4, max_digits=7, null=True),
        ),
        # Plans
        AddField("stripesubscriptionplan", "uuid", models.UUIDField(editable=False, null=True)),
        AddField(
            "stripesubscriptionplan",
            "stripe_plan_id",
            models.CharField(blank=True, max_length=255),
        ),
        IndexField(
            "stripesubscriptionplan",
            "stripe_plan_id",
            models.CharField(blank=True, db_index=True, max_length=255),
        ),
        # Charges. 0.14 collected in US dollars only.
        AddField("stripecharge", "uuid", models.UUIDField(editable=False, null=True)),
        AddField("stripecharge", "currency", models.CharField(default="usd", max_length=3)),
        AddField("stripecharge", "failure_code", models.CharField(blank=True, max_length=255)),
        AddField(
            "stripecharge", "stripe_payment_intent_id", models.CharField(blank=True, max_length=255)
        ),
        IndexField(
            "stripecharge",
            "stripe_payment_intent_id",
            models.CharField(blank=True, db_index=True, max_length=255),
        ),
        AddField(
            "stripecharge",
            "signal_due",
            models.CharField(blank=True, editable=False, max_length=32),
        ),
        Widen(
            "stripecharge",
            "amount",
            models.BigIntegerField(blank=True, help_text=IN_SMALLEST_UNIT, null=True),
        ),
        Widen(
            "stripecharge",
            "amount_refunded",
            models.BigIntegerField(blank=True, default=0, help_text=IN_SMALLEST_UNIT, null=True),
        ),
        Widen(
            "stripecharge",
            "object_id",
            models.PositiveBigIntegerField(blank=True, db_index=True, null=True),
        ),
        AddIndex(
            "stripecharge",
            models.Index(
                fields=["is_charged", "charge_attempt_failed", "is_manual_charge", "id"],
                name="aa_stripe_charge_pending",
            ),
        ),
        AddIndex(
            "stripecharge",
            models.Index(fields=["signal_due"], name="aa_stripe_charge_signal_due"),
        ),
        # Refunds
        CreateModel(
            name="StripeRefund",
            fields=[
                (
                    "id",
                    models.AutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("created", created()),
                ("updated", updated()),
                ("stripe_response", models.JSONField(blank=True, default=dict)),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("amount", models.BigIntegerField(help_text=IN_SMALLEST_UNIT)),
                ("stripe_refund_id", models.CharField(blank=True, db_index=True, max_length=255)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("unknown", "unknown"),
                            ("refused", "refused"),
                            ("pending", "pending"),
                            ("requires_action", "requires action"),
                            ("succeeded", "succeeded"),
                            ("failed", "failed"),
                            ("canceled", "canceled"),
                        ],
                        db_index=True,
                        default="unknown",
                        max_length=32,
                    ),
                ),
                (
                    "charge",
                    models.ForeignKey(
                        on_delete=models.CASCADE,
                        related_name="refunds",
                        to="aa_stripe.stripecharge",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "verbose_name": "refund",
                "verbose_name_plural": "refunds",
            },
        ),
        # Subscriptions
        AddField("stripesubscription", "uuid", models.UUIDField(editable=False, null=True)),
        Widen(
            "stripesubscription",
            "tax_percent",
            models.DecimalField(
                decimal_places=4,
                default=0,
                max_digits=7,
                validators=[MinValueValidator(0), MaxValueValidator(100)],
            ),
        ),
        # Webhooks
        AddField("stripewebhook", "attempts", models.PositiveIntegerField(default=0)),
        AddField("stripewebhook", "retry_at", models.DateTimeField(blank=True, null=True)),
        AddField("stripewebhook", "is_wrong_mode", models.BooleanField(default=False)),
        AddIndex(
            "stripewebhook",
            models.Index(fields=["is_parsed", "retry_at"], name="aa_stripe_webhook_unapplied"),
        ),
        # State only: the schema stays the same, yet SQLite would copy the table for each operation.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                *(
                    migrations.AlterField(model, "created", created())
                    for model in (
                        "stripecustomer",
                        "stripesubscriptionplan",
                        "stripecharge",
                        "stripesubscription",
                        "stripewebhook",
                    )
                ),
                *(
                    migrations.AlterField(model, "updated", updated())
                    for model in (
                        "stripecustomer",
                        "stripecoupon",
                        "stripesubscriptionplan",
                        "stripecharge",
                        "stripesubscription",
                        "stripewebhook",
                    )
                ),
                migrations.AlterField(
                    "stripecustomer",
                    "stripe_customer_id",
                    models.CharField(blank=True, db_index=True, max_length=255),
                ),
                migrations.AlterField(
                    "stripecoupon",
                    "currency",
                    models.CharField(
                        blank=True,
                        choices=[(code, code.upper()) for code in CURRENCIES.split()],
                        max_length=3,
                        null=True,
                    ),
                ),
                migrations.AlterField(
                    "stripecoupon",
                    "duration",
                    models.CharField(
                        choices=[
                            ("forever", "forever"),
                            ("once", "once"),
                            ("repeating", "repeating"),
                        ],
                        max_length=255,
                    ),
                ),
                migrations.AlterField(
                    "stripesubscriptionplan",
                    "amount",
                    models.BigIntegerField(help_text=IN_SMALLEST_UNIT),
                ),
                migrations.AlterField(
                    "stripesubscriptionplan",
                    "interval",
                    models.CharField(
                        choices=[
                            ("day", "day"),
                            ("week", "week"),
                            ("month", "month"),
                            ("year", "year"),
                        ],
                        max_length=10,
                    ),
                ),
                migrations.AlterField(
                    "stripecharge",
                    "currency",
                    models.CharField(default=aa_stripe.settings.default_currency, max_length=3),
                ),
                migrations.AlterField(
                    "stripecharge",
                    "description",
                    models.CharField(
                        blank=True, help_text="Description sent to Stripe.", max_length=255
                    ),
                ),
                migrations.AlterField(
                    "stripecharge",
                    "comment",
                    models.CharField(
                        blank=True, help_text="Comment for internal information.", max_length=255
                    ),
                ),
                migrations.AlterField(
                    "stripesubscription",
                    "status",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("trialing", "trialing"),
                            ("active", "active"),
                            ("past_due", "past due"),
                            ("canceled", "canceled"),
                            ("unpaid", "unpaid"),
                            ("incomplete", "incomplete"),
                            ("incomplete_expired", "incomplete, expired"),
                            ("paused", "paused"),
                        ],
                        max_length=255,
                    ),
                ),
                *(
                    migrations.AlterModelOptions(
                        model,
                        {"verbose_name": name, "verbose_name_plural": f"{name}s", **options},
                    )
                    for model, name, options in [
                        ("stripecustomer", "customer", {"ordering": ["id"]}),
                        ("stripecoupon", "coupon", {}),
                        ("stripesubscriptionplan", "subscription plan", {}),
                        ("stripecharge", "charge", {}),
                        ("stripesubscription", "subscription", {}),
                        ("stripewebhook", "webhook", {"ordering": ["-created"]}),
                    ]
                ),
            ]
        ),
    ]
