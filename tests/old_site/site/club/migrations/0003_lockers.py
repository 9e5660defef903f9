import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("aa_stripe", "0020_stripecharge_statement_descriptor"),
        ("club", "0002_first_memberships"),
    ]

    operations = [
        migrations.CreateModel(
            name="LockerRental",
            fields=[
                ("id", models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("charge", models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="lockers", to="aa_stripe.StripeCharge")),
                ("member", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="lockers", to="club.Member")),
            ],
        ),
    ]
