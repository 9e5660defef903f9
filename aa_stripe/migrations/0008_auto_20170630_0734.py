"""The source of a charge. A migration of 0.14."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("contenttypes", "0002_remove_content_type_name"),
        ("aa_stripe", "0007_auto_20170630_0557"),
    ]

    operations = [
        migrations.AddField(
            "stripecharge",
            "content_type",
            models.ForeignKey(null=True, on_delete=models.CASCADE, to="contenttypes.contenttype"),
        ),
        migrations.AddField(
            "stripecharge", "object_id", models.PositiveIntegerField(db_index=True, null=True)
        ),
    ]
