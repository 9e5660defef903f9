"""Mark the subscriptions that may exist at Stripe although their rows do not know it.

``create_at_stripe()`` looks for each at Stripe before it creates it. Old processes may still work
on some while this migration runs, so the rows count as sent just now.

One statement changes all rows, and changes none twice, so the migration may be killed and started
again. Undoing it changes nothing: the column is removed next.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from aa_stripe.migrations._rows import rows_of

DatabaseNow = import_module("aa_stripe.migrations.0035_unsettled_charges").DatabaseNow


def mark(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    subscriptions = rows_of(apps, "stripesubscription", schema_editor.connection.alias)
    open_ones = subscriptions.filter(is_created_at_stripe=False, is_unsettled=False)
    open_ones.update(is_unsettled=True, sent_at=DatabaseNow())


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("aa_stripe", "0036_subscription_claims")]

    operations = [migrations.RunPython(mark, migrations.RunPython.noop)]
