"""Let 0.14's webhooks with a ``parse_error`` count as parsed, as such ones do from now on.

0.14 left them unparsed, though it had announced them. Now that an unparsed webhook is one that is
still to be applied, they would be announced a second time.

``attempts`` tells whose row it is, because 0.14 did not count: 0. What is changed gets the one
attempt that 0.14 made. So going back finds it again, and leaves alone what 0.14 had parsed at a
later try, with the error of the first still there.

Not one transaction: each statement is committed, and what is changed is passed over. So it may be
killed and started again at any time.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import QuerySet

from aa_stripe.migrations._rows import rows_of

# No batches: no row is fetched and no raw_data written, so one statement does a hundred thousand
# rows in seconds, on each database.


def count_as_parsed(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    of_old = with_error(apps, schema_editor).filter(attempts=0)
    of_old.filter(is_parsed=False).update(is_parsed=True, attempts=1)


def count_as_unparsed(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    tried = with_error(apps, schema_editor).filter(attempts__gt=0)
    # These wait to be applied again; with their error the next upgrade would take them for done.
    tried.filter(is_parsed=False).update(parse_error="")
    tried.filter(is_parsed=True).update(is_parsed=False, attempts=0)


def with_error(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> QuerySet[Any]:
    webhooks = rows_of(apps, "stripewebhook", schema_editor.connection.alias)
    return webhooks.exclude(parse_error="")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("aa_stripe", "0032_unique_coupon_identity")]

    operations = [migrations.RunPython(count_as_parsed, count_as_unparsed)]
