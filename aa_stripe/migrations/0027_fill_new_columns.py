"""Fill ``uuid`` of old rows, and the id at Stripe of old plans.

Each batch of rows is committed on its own, and filled rows are skipped. So the migration may be
killed and started again at any time.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.db import migrations, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import CharField, QuerySet
from django.db.models.functions import Cast

from aa_stripe.migrations._rows import batches_of, rows_of

MODELS_WITH_UUID = (
    "stripecustomer",
    "stripecoupon",
    "stripesubscriptionplan",
    "stripecharge",
    "stripesubscription",
)


def fill_new_columns(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    connection = schema_editor.connection
    for model_name in MODELS_WITH_UUID:
        fill_uuids(rows_of(apps, model_name, connection.alias), connection)
    fill_plan_ids(rows_of(apps, "stripesubscriptionplan", connection.alias))


def fill_uuids(rows: QuerySet[Any], connection: BaseDatabaseWrapper) -> None:
    field = rows.model._meta.get_field("uuid")
    # Twenty times as fast as bulk_update().
    statement = f"UPDATE {rows.model._meta.db_table} SET uuid = %s WHERE id = %s"  # noqa: S608
    for batch in batches_of(rows.filter(uuid=None)):
        values = [
            (field.get_db_prep_value(uuid.uuid4(), connection, prepared=False), pk)
            for (pk,) in batch
        ]
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.executemany(statement, values)


def fill_plan_ids(plans: QuerySet[Any]) -> None:
    # In 0.14 the row's primary key was the plan's id at Stripe.
    unnamed = plans.filter(is_created_at_stripe=True, stripe_plan_id="")
    unnamed.update(stripe_plan_id=Cast("pk", CharField(max_length=255)))


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("aa_stripe", "0026_new_columns")]

    operations = [migrations.RunPython(fill_new_columns, migrations.RunPython.noop)]
