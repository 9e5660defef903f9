"""Coupons may have no currency; the newest webhook is the first. A migration of 0.14."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0011_auto_20170907_1201")]

    operations = [
        migrations.AlterModelOptions("stripewebhook", {"ordering": ["-created"]}),
        migrations.AlterField(
            "stripecoupon", "currency", models.CharField(blank=True, max_length=3, null=True)
        ),
    ]
