"""The primary key of a charge's source as text, if it is not an integer.

The existing rows need none: 0.14 stored integers only.
"""

from __future__ import annotations

from django.db import migrations, models

from aa_stripe.fields import ExactCharField
from aa_stripe.migrations._operations import AddColumn, AddIndex

MODEL = "stripecharge"


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0044_erased")]

    operations = [
        AddColumn(
            MODEL,
            "source_key",
            ExactCharField(blank=True, default="", max_length=255),
            default="''",
        ),
        AddIndex(MODEL, models.Index(fields=["source_key"], name="aa_stripe_charge_source_key")),
    ]
