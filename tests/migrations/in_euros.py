"""``python -m tests.migrations.in_euros command``: ``manage.py`` with euros as the default."""

import sys

import django
from django.conf import settings
from django.core.management import execute_from_command_line

if __name__ == "__main__":
    settings.STRIPE_DEFAULT_CURRENCY = "eur"
    django.setup()
    execute_from_command_line(["manage.py", *sys.argv[1:]])
