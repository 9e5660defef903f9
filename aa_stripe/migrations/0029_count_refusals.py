"""Count how often Stripe has refused to create a subscription."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("aa_stripe", "0028_unique_uuids"),
    ]

    operations = [
        migrations.AddField(
            model_name="stripesubscription",
            name="refusals",
            field=models.PositiveIntegerField(default=0, editable=False),
        ),
    ]
