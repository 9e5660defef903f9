"""The default card of a customer. A migration of 0.14."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0018_stripecustomer_sources")]

    operations = [
        migrations.AddField(
            "stripecustomer", "default_source", models.CharField(blank=True, max_length=255)
        ),
    ]
