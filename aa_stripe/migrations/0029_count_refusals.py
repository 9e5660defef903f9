"""A counter of the times that Stripe refused to create a subscription."""

from django.db import migrations, models

from aa_stripe.migrations._operations import AddField


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0028_unique_uuids")]

    operations = [
        AddField(
            "stripesubscription", "refusals", models.PositiveIntegerField(default=0, editable=False)
        ),
    ]
