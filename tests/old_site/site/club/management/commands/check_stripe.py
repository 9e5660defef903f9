from django.core.management import call_command
from django.core.management.base import BaseCommand

from aa_stripe.management.commands.check_pending_webhooks import StripePendingWebooksLimitExceeded


class Command(BaseCommand):
    help = "For the monitoring: one line, OK or what is wrong."

    def handle(self, *args, **options):
        try:
            call_command("check_pending_webhooks")
        except StripePendingWebooksLimitExceeded as error:
            self.stdout.write("WARNING {}".format(error.message))
        else:
            self.stdout.write("OK")
