from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", "0001_squashed_0022_stripecharge_amount_refunded")]

    operations = [
        migrations.CreateModel(
            "BookedEvent",
            [
                (
                    "stripewebhook_ptr",
                    models.OneToOneField(
                        "aa_stripe.StripeWebhook",
                        models.CASCADE,
                        auto_created=True,
                        parent_link=True,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
            ],
            bases=("aa_stripe.stripewebhook",),
        ),
        migrations.CreateModel(
            "Entry",
            [
                ("id", models.AutoField(primary_key=True, serialize=False)),
                ("booked", models.ForeignKey("books.BookedEvent", models.CASCADE)),
                (
                    "source",
                    models.ForeignKey(
                        "aa_stripe.StripeWebhook",
                        models.CASCADE,
                        null=True,
                        db_constraint=False,
                        related_name="+",
                    ),
                ),
            ],
        ),
    ]
