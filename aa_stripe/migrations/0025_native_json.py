"""Store JSON in the database's own type (on MariaDB and SQLite: text with a check constraint)."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0024_storable_json")]

    operations = [
        migrations.AlterField(model, name, models.JSONField(blank=True, default=default))
        for model, name, default in [
            ("stripecustomer", "stripe_response", dict),
            ("stripecustomer", "stripe_js_response", dict),
            ("stripecustomer", "sources", list),
            ("stripecoupon", "stripe_response", dict),
            ("stripecoupon", "metadata", dict),
            ("stripesubscriptionplan", "stripe_response", dict),
            ("stripesubscriptionplan", "source", dict),
            ("stripesubscriptionplan", "metadata", dict),
            ("stripecharge", "stripe_response", dict),
            ("stripesubscription", "stripe_response", dict),
            ("stripesubscription", "metadata", dict),
            ("stripewebhook", "raw_data", dict),
        ]
    ]
