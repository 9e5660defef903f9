"""``python -m tests.migrations.old_charge``: create a charge as a process from before 0034 does."""

import django

if __name__ == "__main__":
    django.setup()

    from django.db import connection
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(connection)
    apps = loader.project_state(("aa_stripe", "0033_parsed_with_error")).apps
    user = apps.get_model("auth", "User").objects.earliest("pk")
    charges = apps.get_model("aa_stripe", "StripeCharge")
    charge = charges.objects.create(user=user, amount=100, is_charged=True)
    apps.get_model("aa_stripe", "StripeRefund").objects.create(charge=charge, amount=100)
