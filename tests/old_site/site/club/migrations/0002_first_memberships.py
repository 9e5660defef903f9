from django.db import migrations

MEMBERSHIPS = [
    # name, cents a month, shoes, whether it was made in the Dashboard
    ("Basic", 4900, False, False),
    ("Student", 2900, False, True),
]


def make_memberships(apps, schema_editor):
    StripeSubscriptionPlan = apps.get_model("aa_stripe", "StripeSubscriptionPlan")
    Membership = apps.get_model("club", "Membership")
    for name, amount, includes_shoes, is_created_at_stripe in MEMBERSHIPS:
        plan = StripeSubscriptionPlan.objects.create(
            name="Barn {}".format(name),
            amount=amount,
            currency="USD",
            interval="month",
            source={"membership": name},
            metadata={},
            stripe_response={},
            is_created_at_stripe=is_created_at_stripe,
        )
        Membership.objects.create(name=name, plan=plan, includes_shoes=includes_shoes)


class Migration(migrations.Migration):

    dependencies = [
        ("club", "0001_initial"),
    ]

    operations = [
        migrations.RunPython(make_memberships, migrations.RunPython.noop),
    ]
