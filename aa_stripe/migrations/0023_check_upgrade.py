"""Check that the schema of 0.14 is complete, before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError
from django.db import migrations, router
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

SQUASHED = "0001_squashed_0022_stripecharge_amount_refunded"


def check_upgrade(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Raise ``CommandError`` if a table or column of 0.14 is missing, or ids are too wide."""
    check_columns(apps, schema_editor)
    check_ids(apps, schema_editor)


def check_columns(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    missing = list(missing_columns(apps, schema_editor))
    if missing:
        raise CommandError(
            "The table django_migrations lists every migration of aa-stripe 0.14 as applied, but "
            f"the schema is incomplete. Missing: {', '.join(missing)}. "
            "Nothing was changed. Restore what is missing from a backup, then upgrade."
        )


def check_ids(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Raise ``CommandError`` on MySQL if a migration of the site made the ids 64-bit.

    A foreign key must have the type of its target there. Other databases accept the difference.
    """
    connection = schema_editor.connection
    charge = apps.get_model("aa_stripe", "StripeCharge")
    if connection.vendor != "mysql" or not router.allow_migrate_model(connection.alias, charge):
        return
    with connection.cursor() as cursor:
        columns = connection.introspection.get_table_description(cursor, charge._meta.db_table)
    [key] = [column for column in columns if column.name == "id"]
    if connection.introspection.get_field_type(key.type_code, key).startswith("Big"):
        raise CommandError(
            "The ids of aa_stripe's tables have 64 bits, because a migration that is not part of "
            "aa-stripe changed them. Nothing was changed now. Install aa-stripe 0.14 (or 0.13.0) "
            'and that migration again, undo it with "migrate aa_stripe 0022", then upgrade.'
        )


def missing_columns(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> Iterator[str]:
    """Yield the missing tables of 0.14, and the missing columns as ``table.column``."""
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        for model in apps.get_app_config("aa_stripe").get_models():
            table = model._meta.db_table
            if not router.allow_migrate_model(connection.alias, model):
                continue
            if table not in tables:
                yield table
                continue
            present = connection.introspection.get_table_description(cursor, table)
            names = {column.name for column in present}
            expected = (field.column for field in model._meta.local_concrete_fields)
            yield from (f"{table}.{column}" for column in expected if column not in names)


class Migration(migrations.Migration):
    dependencies = [("aa_stripe", SQUASHED)]

    operations = [migrations.RunPython(check_upgrade, migrations.RunPython.noop)]
