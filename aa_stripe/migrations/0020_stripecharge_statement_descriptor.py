"""The statement descriptor of a charge. A migration of 0.14."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0019_stripecustomer_default_source")]

    operations = [
        migrations.AddField(
            "stripecharge", "statement_descriptor", models.CharField(blank=True, max_length=22)
        ),
    ]
