"""When the personal data of a row was erased."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models

from aa_stripe.migrations._operations import AddField


def erased() -> models.DateTimeField[Any, Any]:
    return models.DateTimeField(blank=True, editable=False, null=True)


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0043_deletion")]

    operations = [
        AddField("stripecharge", "erased", erased()),
        AddField("stripecustomer", "erased", erased()),
        AddField("stripesubscription", "erased", erased()),
    ]
