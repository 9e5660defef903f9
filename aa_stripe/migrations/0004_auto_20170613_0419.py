"""Subscriptions lose a percentage that was never sent. A migration of 0.14."""

from __future__ import annotations

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0003_auto_20170608_1103")]

    operations = [
        migrations.RemoveField("stripesubscription", "application_fee_percent"),
    ]
