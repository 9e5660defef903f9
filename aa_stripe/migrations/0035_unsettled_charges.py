"""Mark the unpaid charges with a payment intent as unsettled: nothing says how it ended.

The next run of ``charge_stripe`` asks Stripe about each of them. Old processes may still work on
some while this migration runs, so the rows count as sent just now.

One statement changes all rows, and changes none twice, so the migration may be killed and started
again. Undoing it changes nothing: the column is removed next.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from aa_stripe.migrations._rows import rows_of


class UtcNow(models.Func):
    """The time of the database's clock, in UTC also if ``USE_TZ`` is ``False``."""

    output_field = models.DateTimeField()

    def as_sql(  # type: ignore[override]
        self, compiler: Any, connection: BaseDatabaseWrapper, **_: Any
    ) -> Any:
        if connection.vendor == "sqlite":
            return "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'NOW')", []
        if connection.vendor == "postgresql":
            now = "STATEMENT_TIMESTAMP()"
            return (now if settings.USE_TZ else f"({now} AT TIME ZONE 'UTC')"), []
        return "UTC_TIMESTAMP(6)", []


def mark(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    charges = rows_of(apps, "stripecharge", schema_editor.connection.alias)
    unpaid = charges.filter(is_charged=False, is_unsettled=False)
    unpaid.exclude(stripe_payment_intent_id="").update(is_unsettled=True, sent_at=UtcNow())


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("aa_stripe", "0034_claims_of_charges")]

    operations = [migrations.RunPython(mark, migrations.RunPython.noop)]
