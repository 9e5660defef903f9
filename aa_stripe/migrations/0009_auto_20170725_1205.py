"""The creation date gets a time. A migration of 0.14."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0008_auto_20170630_0734")]

    operations = [
        migrations.AlterField("stripecharge", "created", models.DateTimeField(auto_now_add=True)),
        migrations.AlterField("stripecustomer", "created", models.DateTimeField(auto_now_add=True)),
        migrations.AlterField(
            "stripesubscription", "created", models.DateTimeField(auto_now_add=True)
        ),
        migrations.AlterField(
            "stripesubscriptionplan", "created", models.DateTimeField(auto_now_add=True)
        ),
        migrations.AlterField("stripewebhook", "created", models.DateTimeField(auto_now_add=True)),
    ]
