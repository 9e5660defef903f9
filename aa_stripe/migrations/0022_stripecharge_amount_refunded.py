"""The refunded amount of a charge. A migration of 0.14."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0021_auto_20190906_1623")]

    operations = [
        migrations.AddField(
            "stripecharge", "amount_refunded", models.IntegerField(blank=True, default=0, null=True)
        ),
    ]
