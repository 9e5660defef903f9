import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("aa_stripe", "0017_stripecharge_manual_charge"),
    ]

    operations = [
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("uuid", models.UUIDField(default=uuid.uuid4, editable=False)),
                ("text", models.CharField(max_length=200)),
                ("total", models.IntegerField(help_text="in cents")),
                ("status", models.CharField(choices=[("new", "new"), ("paid", "paid"), ("declined", "declined"), ("refunded", "refunded")], default="new", max_length=10)),
                ("paid_at", models.DateTimeField(blank=True, null=True)),
                ("failure", models.CharField(blank=True, max_length=200)),
                ("user", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="orders", to=settings.AUTH_USER_MODEL)),
            ],
            options={"ordering": ["id"]},
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                ("id", models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100, unique=True)),
                ("includes_shoes", models.BooleanField(default=False)),
                ("is_offered", models.BooleanField(default=True)),
                ("plan", models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name="membership", to="aa_stripe.StripeSubscriptionPlan")),
            ],
        ),
        migrations.CreateModel(
            name="Member",
            fields=[
                ("id", models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("phone", models.CharField(blank=True, max_length=40)),
                ("owes_money", models.BooleanField(default=False)),
                ("billing_customer", models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="aa_stripe.StripeCustomer")),
                ("subscription", models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="members", to="aa_stripe.StripeSubscription")),
                ("user", models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name="member", to=settings.AUTH_USER_MODEL)),
            ],
        ),
    ]
