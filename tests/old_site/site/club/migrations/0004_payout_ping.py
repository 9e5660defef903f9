import django_extensions.db.fields.json
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("aa_stripe", "0022_stripecharge_amount_refunded"),
        ("club", "0003_lockers"),
    ]

    operations = [
        migrations.CreateModel(
            name="Payout",
            fields=[
                ("id", models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("created", models.DateTimeField(auto_now_add=True)),
                ("updated", models.DateTimeField(auto_now=True)),
                ("stripe_response", django_extensions.db.fields.json.JSONField(blank=True, default=dict)),
                ("payout_id", models.CharField(max_length=255, unique=True)),
                ("amount", models.IntegerField(help_text="in cents")),
                ("arrived", models.BooleanField(default=False)),
                ("note", models.CharField(blank=True, max_length=200)),
            ],
            options={"abstract": False},
        ),
        migrations.CreateModel(
            name="Ping",
            fields=[
                ("id", models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("event_id", models.CharField(max_length=255)),
                ("created", models.DateTimeField(auto_now_add=True)),
            ],
        ),
    ]
