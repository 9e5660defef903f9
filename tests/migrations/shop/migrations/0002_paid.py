"""A migration written for this package."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial"), ("aa_stripe", "0040_job_runs")]

    operations = [
        migrations.AddField("order", "paid", models.BooleanField(default=False)),
    ]
