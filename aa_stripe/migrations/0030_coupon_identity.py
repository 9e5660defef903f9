"""A column for the coupon's unique identity, and an index on the coupon's id.

It takes three steps, as ``uuid`` does: an empty column here, values in 0031, a unique index in
0032.
"""

from django.db import migrations, models

from aa_stripe.migrations._operations import AddField, IndexField


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0029_count_refusals")]

    operations = [
        AddField(
            "stripecoupon",
            "identity",
            models.CharField(editable=False, max_length=64, null=True),
        ),
        IndexField(
            "stripecoupon",
            "coupon_id",
            models.CharField(blank=True, db_index=True, max_length=255),
        ),
    ]
