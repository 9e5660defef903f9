"""Make ``uuid`` unique; 0027 has filled it."""

from __future__ import annotations

import uuid

from django.db import migrations, models

from aa_stripe.migrations._operations import IndexField


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0027_fill_new_columns")]

    operations = [
        IndexField(model, "uuid", models.UUIDField(default=uuid.uuid4, editable=False, unique=True))
        for model in (
            "stripecustomer",
            "stripecoupon",
            "stripesubscriptionplan",
            "stripecharge",
            "stripesubscription",
        )
    ]
