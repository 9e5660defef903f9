"""``python -m tests.migrations.read_and_save``: read every row and save every charge."""

import django

if __name__ == "__main__":
    django.setup()

    from django.apps import apps
    from django.contrib.auth.models import User

    from aa_stripe.models import StripeCharge

    for model in apps.get_app_config("aa_stripe").get_models():
        for row in model._base_manager.all():
            str(row)
    for charge in StripeCharge.objects.all():
        charge.comment = "saved"
        charge.save()
    StripeCharge.objects.create(user=User.objects.earliest("pk"), amount=2**40, comment="saved")
