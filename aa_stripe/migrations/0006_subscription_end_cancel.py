"""The end of a subscription. A migration of 0.14."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0005_auto_20170613_0614")]

    operations = [
        migrations.AddField(
            "stripesubscription", "end_date", models.DateField(blank=True, db_index=True, null=True)
        ),
        migrations.AddField(
            "stripesubscription",
            "canceled_at",
            models.DateTimeField(blank=True, db_index=True, null=True),
        ),
    ]
