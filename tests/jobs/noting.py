"""``manage.py`` with a handler that creates a row for each event that it is called with.

It waits for a line on standard input, so that several processes can start at once. If ``DIES_AT``
is the id of an event, the process kills itself after it has written the row of that event.
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

    # The name of a group is unique; with the uuid, an event that is applied twice has two rows.
    Group.objects.create(name=f"{webhook.pk} {uuid.uuid4()}")
    if webhook.pk == os.environ.get("DIES_AT"):
        os.kill(os.getpid(), signal.SIGKILL)


def noted():
    """Return how many rows each event has."""
    from django.contrib.auth.models import Group

    return Counter(name.split()[0] for name in Group.objects.values_list("name", flat=True))


if __name__ == "__main__":
    main()
