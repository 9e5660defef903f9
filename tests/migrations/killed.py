"""``python -m tests.migrations.killed WHAT NUMBER command`` kills itself at the NUMBER-th WHAT.

``WHAT`` is ``row`` (the JSON of a row is converted), ``uuid`` (a row gets its uuid), ``update``
(of many rows) or ``statement`` (one that changes the schema). The process exits normally if there
are fewer of them.
"""

import itertools
import os
import signal
import sys
from importlib import import_module

import django
from django.core.management import execute_from_command_line
from django.db import connection
from django.db.models import QuerySet

from aa_stripe.migrations import _rows

PLACES = {
    "row": lambda: (import_module("aa_stripe.migrations.0024_storable_json"), "storable"),
    "uuid": lambda: (import_module("aa_stripe.migrations.0027_fill_new_columns").uuid, "uuid4"),
    "update": lambda: (QuerySet, "update"),
    "statement": lambda: (connection.SchemaEditorClass, "execute"),
}


def die_at(owner, name, number):
    original, calls = getattr(owner, name), itertools.count(1)

    def counted(*args, **kwargs):
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    setattr(owner, name, counted)


if __name__ == "__main__":
    what, number, *command = sys.argv[1:]
    django.setup()
    _rows.BATCH = 10
    die_at(*PLACES[what](), int(number))
    execute_from_command_line(["manage.py", *command])
