"""Mark the unpaid charges with a payment intent as unsettled: nothing says how it ended.

The next run of ``charge_stripe`` asks Stripe about each of them. Old processes may still work on
some while this migration runs, so the rows count as sent just now.

One statement changes all rows, and changes none twice, so the migration may be killed and started
again. Undoing it changes nothing: the column is removed next.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from aa_stripe.migrations._rows import rows_of


class DatabaseNow(models.Func):
    """The time of the database's clock; in UTC where the database stores no time zone."""

    output_field = models.DateTimeField()

    def as_sql(  # type: ignore[override]
        self, compiler: Any, connection: BaseDatabaseWrapper, **_: Any
    ) -> Any:
        return NOW[connection.vendor], []


NOW = {
    "sqlite": "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW')",
    "mysql": "UTC_TIMESTAMP(6)",
    "postgresql": "STATEMENT_TIMESTAMP()",
}


def mark(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    charges = rows_of(apps, "stripecharge", schema_editor.connection.alias)
    unpaid = charges.filter(is_charged=False, is_unsettled=False)
    unpaid.exclude(stripe_payment_intent_id="").update(is_unsettled=True, sent_at=DatabaseNow())


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("aa_stripe", "0034_claims")]

    operations = [migrations.RunPython(mark, migrations.RunPython.noop)]
