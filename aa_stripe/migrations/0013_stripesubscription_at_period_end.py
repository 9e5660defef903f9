"""The flag of a subscription that ends with its period. A migration of 0.14."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0012_auto_20170908_1150")]

    operations = [
        migrations.AddField(
            "stripesubscription", "at_period_end", models.BooleanField(default=False)
        ),
    ]
