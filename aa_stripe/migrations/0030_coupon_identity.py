"""A name for each coupon that no other has, and an index to find coupons by their id.

In three steps, as with ``uuid``: an empty column here, filled by 0031, unique from 0032 on.
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
