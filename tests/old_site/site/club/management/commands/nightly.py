import io
from contextlib import redirect_stdout

from django.core.mail import mail_admins
from django.core.management import call_command
from django.core.management.base import BaseCommand

COMMANDS = ["charge_stripe", "end_subscriptions", "refresh_coupons", "refresh_customers"]


class Command(BaseCommand):
    help = "All that has to be done with Stripe in a night; cron runs it. Mails what went wrong."

    def handle(self, *args, **options):
        failed = []
        for name in COMMANDS:
            output = io.StringIO()
            try:
                with redirect_stdout(output):
                    call_command(name)
            except SystemExit:
                failed.append(name)
                mail_admins("{} failed".format(name), output.getvalue())
        if failed:
            self.stdout.write("Failed: {}".format(", ".join(failed)))
