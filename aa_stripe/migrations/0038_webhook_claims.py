"""Claims of events: until when a process applies one."""

from __future__ import annotations

from django.db import migrations, models

from aa_stripe.migrations._operations import AddField


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0037_unsettled_subscriptions")]

    operations = [
        AddField(
            "stripewebhook",
            "claimed_until",
            models.DateTimeField(blank=True, editable=False, null=True),
        ),
    ]
