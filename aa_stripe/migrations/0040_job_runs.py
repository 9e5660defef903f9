"""What the jobs remember from one run to the next."""

from __future__ import annotations

from django.db import migrations, models

from aa_stripe.migrations._operations import CreateModel


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0039_binary_ids")]

    operations = [
        CreateModel(
            name="StripeJobRun",
            fields=[
                ("job", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("ended_well", models.DateTimeField()),
                ("refreshed_until", models.DateTimeField(null=True)),
                ("key_digest", models.CharField(blank=True, max_length=64)),
            ],
            options={"verbose_name": "job run", "verbose_name_plural": "job runs"},
        ),
    ]
