from django.utils import timezone

from aa_stripe.management.commands.charge_stripe import Command as ChargeStripe
from club.models import LockerRental


class Command(ChargeStripe):
    help = "Charge what is open, then free the lockers that are not paid."

    def handle(self, *args, **options):
        super().handle(*args, **options)
        unpaid = LockerRental.objects.filter(charge__charge_attempt_failed=True)
        self.stdout.write("{}: {} lockers freed".format(timezone.now().date(), unpaid.count()))
        unpaid.delete()
