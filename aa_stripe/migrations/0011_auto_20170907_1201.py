"""The error of a webhook. A migration of 0.14."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0010_auto_20170822_1004")]

    operations = [
        migrations.AddField("stripewebhook", "parse_error", models.TextField(blank=True)),
    ]
