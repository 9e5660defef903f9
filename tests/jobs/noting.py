"""``manage.py`` with a handler that leaves a row for each event that it is called with.

It waits for a line on standard input, so that several can begin at once. The event that is named
in ``DIES_AT`` kills the process when its row is written.
"""

from __future__ import annotations

import os
import signal
import sys
import uuid
from collections import Counter

import django
from django.core.management import execute_from_command_line


def main():
    django.setup()
    from aa_stripe.webhooks import on

    on("topup.*")(note)
    sys.stdin.readline()
    execute_from_command_line(sys.argv)


def note(webhook):
    from django.contrib.auth.models import Group

    # The name of a group is unique, and a second row for the event must not be refused.
    Group.objects.create(name=f"{webhook.pk} {uuid.uuid4()}")
    if webhook.pk == os.environ.get("DIES_AT"):
        os.kill(os.getpid(), signal.SIGKILL)


def noted():
    """How often each event was noted."""
    from django.contrib.auth.models import Group

    return Counter(name.split()[0] for name in Group.objects.values_list("name", flat=True))


if __name__ == "__main__":
    main()
