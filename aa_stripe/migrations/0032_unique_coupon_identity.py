"""Make the identity of coupons unique; 0031 has filled it."""

from django.db import migrations, models

from aa_stripe.migrations._operations import IndexField


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0031_fill_coupon_identity")]

    operations = [
        IndexField(
            "stripecoupon",
            "identity",
            models.CharField(editable=False, max_length=64, null=True, unique=True),
        ),
    ]
