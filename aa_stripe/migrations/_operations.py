"""Schema operations that may be killed, or that lose no data when undone.

Part of the migrations, so they must not change. MySQL and MariaDB commit each statement that
changes the schema. A migration that is killed there stays half done and is not recorded. When it
runs again, it skips the operations that are done.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import migrations, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.exceptions import IrreversibleError
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState
from django.db.models import Q
from django.db.models.functions import Round

from aa_stripe.migrations._console import console


class Resumable(Operation):
    """An operation that runs only if it is not done yet, and is undone only if it is."""

    model_name: str

    def is_done(self, connection: BaseDatabaseWrapper, model: type[models.Model]) -> bool:
        raise NotImplementedError

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        if self._may_run(schema_editor, app_label, to_state, wanted=False):
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        if self._may_run(schema_editor, app_label, from_state, wanted=True):
            super().database_backwards(app_label, schema_editor, from_state, to_state)

    def _may_run(
        self,
        schema_editor: BaseDatabaseSchemaEditor,
        app_label: str,
        state: ProjectState,
        *,
        wanted: bool,
    ) -> bool:
        connection = schema_editor.connection
        if connection.features.can_rollback_ddl or schema_editor.collect_sql:
            return True  # sqlmigrate prints the operation, whatever the database has
        model = state.apps.get_model(app_label, self.model_name)
        return self.is_done(connection, model) is wanted


class AddField(Resumable, migrations.AddField):
    """A new column without an index: a later statement creates indexes, so a kill may omit one."""

    def is_done(self, connection: BaseDatabaseWrapper, model: type[models.Model]) -> bool:
        with connection.cursor() as cursor:
            table = model._meta.db_table
            columns = connection.introspection.get_table_description(cursor, table)
        return _column(model, self.name) in {column.name for column in columns}


class IndexField(Resumable, migrations.AlterField):
    """The index of a field, unique or not."""

    def is_done(self, connection: BaseDatabaseWrapper, model: type[models.Model]) -> bool:
        kind = "unique" if self.field.unique else "index"
        columns = [_column(model, self.name)]
        found = _constraints(connection, model).values()
        return any(each[kind] and each["columns"] == columns for each in found)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        # AlterField calls database_forwards() to undo itself; ours would skip the existing index.
        if self._may_run(schema_editor, app_label, from_state, wanted=True):
            migrations.AlterField.database_forwards(
                self, app_label, schema_editor, from_state, to_state
            )


class AddIndex(Resumable, migrations.AddIndex):
    def is_done(self, connection: BaseDatabaseWrapper, model: type[models.Model]) -> bool:
        return self.index.name in _constraints(connection, model)


class RemoveIndex(Resumable, migrations.RemoveIndex):
    def is_done(self, connection: BaseDatabaseWrapper, model: type[models.Model]) -> bool:
        return self.name not in _constraints(connection, model)


class AddColumn(AddField):
    """A new column with a default in the database, so that old code can still insert rows.

    Old processes run for a while after the migration. Django 4.2 drops the default of a new column.
    SQLite cannot change a default; there all processes are replaced at once.
    """

    def __init__(self, *args: Any, default: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.database_default = default

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        super().database_forwards(app_label, schema_editor, from_state, to_state)
        model = to_state.apps.get_model(app_label, self.model_name)
        connection = schema_editor.connection
        if connection.vendor == "sqlite":
            return
        if self.allow_migrate_model(connection.alias, model):
            quote = connection.ops.quote_name
            table, column = quote(model._meta.db_table), quote(_column(model, self.name))
            schema_editor.execute(
                f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT {self.database_default}"
            )


class AddConstraint(Resumable, migrations.AddConstraint):
    def is_done(self, connection: BaseDatabaseWrapper, model: type[models.Model]) -> bool:
        return self.constraint.name in _constraints(connection, model)


class CreateModel(migrations.CreateModel):
    """A new table. Replaces an empty one that a killed migration left without indexes."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        connection = schema_editor.connection
        model = to_state.apps.get_model(app_label, self.name)
        is_left_over = (
            not connection.features.can_rollback_ddl
            and model._meta.db_table in connection.introspection.table_names()
            and not model._base_manager.using(connection.alias).exists()
        )
        if is_left_over and self.allow_migrate_model(connection.alias, model):
            schema_editor.delete_model(model)
        super().database_forwards(app_label, schema_editor, from_state, to_state)


class Widen(migrations.AlterField):
    """A wider column for numbers. It is undone only if every number fits into the old column."""

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        connection = schema_editor.connection
        model = from_state.apps.get_model(app_label, self.model_name)
        narrow = to_state.apps.get_model(app_label, self.model_name)._meta.get_field(self.name)
        rows = model._base_manager.using(connection.alias)
        if not self.allow_migrate_model(connection.alias, model):
            return
        if rows.filter(self._too_wide_for(narrow, connection)).exists():
            console.write(f"{self.model_name}.{self.name} stays wide: the value of a row needs it.")
            return
        super().database_backwards(app_label, schema_editor, from_state, to_state)

    def _too_wide_for(self, narrow: models.Field[Any, Any], connection: BaseDatabaseWrapper) -> Q:
        lowest, highest, places = _range_of(narrow, connection)
        outside = Q(**{f"{self.name}__lt": lowest}) | Q(**{f"{self.name}__gt": highest})
        if not isinstance(self.field, models.DecimalField):
            return outside
        is_rounded = Q(**{self.name: Round(self.name, precision=places)})
        return outside | (Q(**{f"{self.name}__isnull": False}) & ~is_rounded)


class AllowNull(migrations.AlterField):
    """A column that may be NULL from now on.

    Only that is changed: Django would also drop and create the foreign key, and read the whole
    table for it while others wait. It is undone only if no row has NULL;
    else the column stays as it is, and on SQLite the undoing stops.
    """

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        connection = schema_editor.connection
        model = to_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(connection.alias, model):
            return
        if connection.vendor == "sqlite":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        schema_editor.execute(
            schema_editor.sql_alter_column
            % {
                "table": connection.ops.quote_name(model._meta.db_table),
                "changes": _null_sql(schema_editor, model._meta.get_field(self.name)),
            }
        )

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        connection = schema_editor.connection
        model = from_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(connection.alias, model):
            return
        rows = model._base_manager.using(connection.alias)
        if rows.filter(**{f"{self.name}__isnull": True}).exists():
            self._leave(connection)
            return
        self.database_forwards(app_label, schema_editor, from_state, to_state)

    def _leave(self, connection: BaseDatabaseWrapper) -> None:
        column = f"{self.model_name}.{self.name}"
        if connection.vendor == "sqlite":  # later changes of the table would make the column again
            raise IrreversibleError(f"Rows have no {column}. Set it, or delete these rows, first.")
        console.write(f"{column} may still be NULL: rows are without it.")


def _null_sql(editor: Any, field: Any) -> str:
    """Return what makes the column accept NULL, or refuse it, as the field says.

    MySQL repeats the type for that. Django's own method leaves out the collation, which a text key
    may have: the column would lose it, and a foreign key refuses that.
    """
    column = field.db_parameters(connection=editor.connection)
    collation = editor._collate_sql(column["collation"]) if column.get("collation") else ""
    change: str = editor.sql_alter_column_null if field.null else editor.sql_alter_column_not_null
    return change % {
        "column": editor.quote_name(field.column),
        "type": f"{column['type']} {collation}".strip(),
    }


def _range_of(
    field: models.Field[Any, Any], connection: BaseDatabaseWrapper
) -> tuple[Decimal, Decimal, int]:
    """Return the lowest and highest number that the column accepts, and its decimal places."""
    if isinstance(field, models.DecimalField):
        places = field.decimal_places
        highest = Decimal(10) ** (field.max_digits - places) - Decimal(10) ** -places
        return -highest, highest, places
    kind = field.get_internal_type()
    named: tuple[int | None, int | None] = connection.ops.integer_field_range(kind)
    # Django before 5 reports no range for SQLite, which stores any 64-bit number.
    least, most = -models.BigIntegerField.MAX_BIGINT - 1, models.BigIntegerField.MAX_BIGINT
    low, high = named
    return Decimal(least if low is None else low), Decimal(most if high is None else high), 0


def _column(model: type[models.Model], name: str) -> str:
    columns: dict[str, Any] = {
        field.name: field.column for field in model._meta.local_concrete_fields
    }
    column: str = columns[name]
    return column


def _constraints(connection: BaseDatabaseWrapper, model: type[models.Model]) -> dict[str, Any]:
    with connection.cursor() as cursor:
        return connection.introspection.get_constraints(cursor, model._meta.db_table)
