"""Check that the schema of 0.14 is complete, before anything is changed.

If only some of 0.14's 22 migrations are applied, Django removes the migration that replaces them
from its plan and begins here.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from django.core.management.base import CommandError
from django.db import migrations, router
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.recorder import MigrationRecorder

SQUASHED = "0001_squashed_0022_stripecharge_amount_refunded"


def check_upgrade(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Raise ``CommandError`` if a migration, table or column of 0.14 is missing."""
    check_migrations(schema_editor)
    check_columns(apps, schema_editor)


def check_migrations(schema_editor: BaseDatabaseSchemaEditor) -> None:
    applied = MigrationRecorder(schema_editor.connection).applied_migrations()
    replaced = import_module(f"{__package__}.{SQUASHED}").Migration.replaces
    missing = [name for label, name in replaced if (label, name) not in applied]
    if missing:
        raise CommandError(
            "Only some of the migrations of aa-stripe 0.14 are applied to this database. Nothing "
            f"was changed. Missing: {', '.join(missing)}. Install aa-stripe 0.14 (or 0.13.0) "
            'again, run "migrate aa_stripe" with it, then upgrade.'
        )


def check_columns(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    missing = list(missing_columns(apps, schema_editor))
    if missing:
        raise CommandError(
            "The table django_migrations lists every migration of aa-stripe 0.14 as applied, but "
            f"the schema is incomplete. Missing: {', '.join(missing)}. "
            "Nothing was changed. Restore what is missing from a backup, then upgrade."
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
