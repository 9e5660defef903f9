"""Give old rows a ``uuid`` each, and old plans the id that 0.14 gave them at Stripe.

Not one transaction: each batch of rows is committed, and what is filled is passed over. So it may
be killed and started again at any time.
"""

from __future__ import annotations

import uuid
from typing import Any

from django.db import migrations
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
    alias = schema_editor.connection.alias
    for model_name in MODELS_WITH_UUID:
        fill_uuids(rows_of(apps, model_name, alias))
    fill_plan_ids(rows_of(apps, "stripesubscriptionplan", alias))


def fill_uuids(rows: QuerySet[Any]) -> None:
    for batch in batches_of(rows.filter(uuid=None)):
        rows.bulk_update([rows.model(pk=pk, uuid=uuid.uuid4()) for (pk,) in batch], ["uuid"])


def fill_plan_ids(plans: QuerySet[Any]) -> None:
    # 0.14 let the row's primary key be the plan's id at Stripe.
    unnamed = plans.filter(is_created_at_stripe=True, stripe_plan_id="")
    unnamed.update(stripe_plan_id=Cast("pk", CharField(max_length=255)))


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("aa_stripe", "0026_new_columns")]

    operations = [migrations.RunPython(fill_new_columns, migrations.RunPython.noop)]
