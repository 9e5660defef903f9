"""The index of a refund's id, and fields that may be empty in forms. A migration of 0.14."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0020_stripecharge_statement_descriptor")]

    operations = [
        migrations.AlterField(
            "stripecharge",
            "stripe_refund_id",
            models.CharField(blank=True, db_index=True, max_length=255),
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    "stripecharge", "amount", models.IntegerField(blank=True, null=True)
                ),
                migrations.AlterField(
                    "stripecharge", "description", models.CharField(blank=True, max_length=255)
                ),
                migrations.AlterField(
                    "stripecharge", "comment", models.CharField(blank=True, max_length=255)
                ),
                migrations.AlterField(
                    "stripecharge",
                    "customer",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.SET_NULL,
                        to="aa_stripe.stripecustomer",
                    ),
                ),
                migrations.AlterField(
                    "stripecharge",
                    "content_type",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.CASCADE,
                        to="contenttypes.contenttype",
                    ),
                ),
                migrations.AlterField(
                    "stripecharge",
                    "object_id",
                    models.PositiveIntegerField(blank=True, db_index=True, null=True),
                ),
                migrations.AlterField(
                    "stripesubscription",
                    "customer",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=models.SET_NULL,
                        to="aa_stripe.stripecustomer",
                    ),
                ),
            ]
        ),
    ]
