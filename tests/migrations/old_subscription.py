"""``python -m tests.migrations.old_subscription``: create a row as a process before 0036 does."""

import django

if __name__ == "__main__":
    django.setup()

    from django.db import connection
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(connection)
    apps = loader.project_state(("aa_stripe", "0035_unsettled_charges")).apps
    subscriptions = apps.get_model("aa_stripe", "StripeSubscription")
    old = subscriptions.objects.earliest("pk")
    subscriptions.objects.create(user_id=old.user_id, plan_id=old.plan_id)
