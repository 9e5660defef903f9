"""The flag of a charge that failed. A migration of 0.14."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0013_stripesubscription_at_period_end")]

    operations = [
        migrations.AddField(
            "stripecharge", "charge_attempt_failed", models.BooleanField(default=False)
        ),
    ]
