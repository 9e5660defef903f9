"""Mark 0.14's webhooks with a ``parse_error`` as parsed, which is their state from now on.

0.14 left them unparsed, although it had sent ``webhook_pre_parse`` for them. An unparsed webhook is
now one that is still to be applied, so the signal would be sent a second time.

0.14 did not count attempts, so its rows have ``attempts`` 0. The migration sets 1, for the attempt
that 0.14 made. Undoing the migration finds its rows by that number, and skips rows that 0.14 parsed
at a later attempt and that still hold the error of the first one.

Each statement is committed on its own, and changed rows are skipped. So the migration may be killed
and started again at any time.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import QuerySet

from aa_stripe.migrations._rows import rows_of

# No batches: no row is fetched and no raw_data is written, so one statement changes 100,000 rows in
# seconds on each database.


def count_as_parsed(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    of_old = with_error(apps, schema_editor).filter(attempts=0)
    of_old.filter(is_parsed=False).update(is_parsed=True, attempts=1)


def count_as_unparsed(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    tried = with_error(apps, schema_editor).filter(attempts__gt=0)
    # These are to be applied again. With their error the next upgrade would mark them as parsed.
    tried.filter(is_parsed=False).update(parse_error="")
    tried.filter(is_parsed=True).update(is_parsed=False, attempts=0)


def with_error(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> QuerySet[Any]:
    webhooks = rows_of(apps, "stripewebhook", schema_editor.connection.alias)
    return webhooks.exclude(parse_error="")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("aa_stripe", "0032_unique_coupon_identity")]

    operations = [migrations.RunPython(count_as_parsed, count_as_unparsed)]
