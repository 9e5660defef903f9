"""Plans may cost more. A migration of 0.14."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0014_stripecharge_charge_attempt_failed")]

    operations = [
        migrations.AlterField("stripesubscriptionplan", "amount", models.BigIntegerField()),
    ]
