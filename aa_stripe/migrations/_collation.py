"""The operation that makes columns case-sensitive on MySQL and MariaDB.

Part of the migrations, so it must not change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from aa_stripe.migrations._console import console
from aa_stripe.migrations._operations import _constraints

#: Number of collisions per index that an error names.
EXAMPLES = 10

#: The collations of the columns that have one. MariaDB's type for a uuid has none.
COLLATIONS = """
    SELECT column_name, collation_name FROM information_schema.columns
    WHERE table_schema = DATABASE() AND table_name = %s AND collation_name IS NOT NULL
"""

DEFAULT_COLLATION = """
    SELECT table_collation FROM information_schema.tables
    WHERE table_schema = DATABASE() AND table_name = %s
"""

FOREIGN_KEYS = """
    SELECT constraint_name, table_name, column_name FROM information_schema.key_column_usage
    WHERE referenced_table_schema = DATABASE()
        AND referenced_table_name = %s AND referenced_column_name = %s
"""

if TYPE_CHECKING:
    Model = type[models.Model]
    Field = models.Field[Any, Any]
    Fields = Mapping[str, Field]


class AlterCollations(Operation):
    """New fields whose columns have another collation on MySQL and MariaDB only.

    ``fields`` maps the models' names to their new fields. Each table is rebuilt once. Foreign keys
    to a field, which are in tables of the project, change with it. Columns that have the collation
    are skipped, so the migration may be killed and started again at any time.

    Raises ``CommandError`` before anything is changed if a foreign key refers to one of the columns
    that Django does not know. When the operation is undone, Django knows only those of migrations
    that ours depend on.
    """

    def __init__(self, fields: Mapping[str, Fields]) -> None:
        self.fields = fields

    def describe(self) -> str:
        return "Make ids case-sensitive on MySQL and MariaDB"

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        for model_name, fields in self.fields.items():
            for name, field in fields.items():
                state.alter_field(app_label, model_name, name, field, preserve_default=True)

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        found = list(self._models(app_label, schema_editor, from_state, to_state))
        _check_foreign_keys(schema_editor.connection, found)
        for old, new, names in found:
            _alter_model(schema_editor, old, new, names)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Restore the tables' collations. Raise ``CommandError`` first if ids would collide."""
        found = list(self._models(app_label, schema_editor, from_state, to_state))
        _check_foreign_keys(schema_editor.connection, found)
        collisions = [
            collision
            for _, new, names in found
            for collision in _collisions(schema_editor.connection, new, names)
        ]
        if collisions:
            raise CommandError(
                "Some ids differ only in a way that the collation of their table ignores, such as "
                "letter case. Nothing was changed. Of each pair, keep one row: "
                + "; ".join(collisions)
            )
        for old, new, names in found:
            _alter_model(schema_editor, old, new, names)

    def _models(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> Iterator[tuple[Model, Model, list[str]]]:
        """Yield the old model, the new model and the names of the fields, on MySQL and MariaDB."""
        connection = schema_editor.connection
        if connection.vendor != "mysql":
            return
        for model_name, fields in self.fields.items():
            old = from_state.apps.get_model(app_label, model_name)
            new = to_state.apps.get_model(app_label, model_name)
            if self.allow_migrate_model(connection.alias, new):
                yield old, new, list(fields)


def _check_foreign_keys(
    connection: BaseDatabaseWrapper, found: list[tuple[Model, Model, list[str]]]
) -> None:
    unknown = [
        key
        for _, new, names in found
        for name in names
        for key in _unknown_foreign_keys(connection, _field(new, name))
    ]
    if unknown:
        raise CommandError(
            "The server cannot change a column that a foreign key refers to, and Django does not "
            f"know these: {', '.join(unknown)}. Nothing was changed. Drop them, run the migration, "
            "give their columns the collation of the id, and add them again."
        )


def _unknown_foreign_keys(connection: BaseDatabaseWrapper, field: Field) -> Iterator[str]:
    if _has_collation(connection, field):
        return
    known = list(_references(field))
    columns = {(each.model._meta.db_table, each.column) for each in known}
    for each in [field, *known]:
        table = each.model._meta.db_table
        for name, owner, column in _rows(connection, FOREIGN_KEYS, table, str(each.column)):
            if (owner, column) not in columns:
                yield f"{name} of {owner}"


def _alter_model(
    schema_editor: BaseDatabaseSchemaEditor, old: Model, new: Model, names: list[str]
) -> None:
    connection = schema_editor.connection
    fields = [_field(new, name) for name in names]
    referenced = [field for field in fields if list(_references(field))]
    for field in referenced:
        if not all(_is_done(connection, each) for each in [field, *_references(field)]):
            _announce(schema_editor, new)
            # Django drops the foreign keys, alters their columns too, and creates them again.
            schema_editor.alter_field(old, _field(old, field.name), field)
    others = [field for field in fields if field not in referenced]
    changed = [field for field in others if not _has_collation(connection, field)]
    if changed:
        _announce(schema_editor, new)
        _alter_columns(schema_editor, changed)


def _references(field: Field) -> Iterator[Field]:
    """Yield the foreign keys to the field, and the foreign keys to these."""
    for relation in field.model._meta.get_fields(include_hidden=True):
        is_relation = relation.auto_created and not relation.concrete
        key = getattr(relation, "field", None) if is_relation else None
        if isinstance(key, models.ForeignKey) and key.target_field == field:
            yield key
            yield from _references(key)


def _is_done(connection: BaseDatabaseWrapper, field: Field) -> bool:
    """Return whether nothing was left undone, not even by a process that was killed."""
    if not _has_collation(connection, field):
        return False
    if not getattr(field, "db_constraint", False):
        return True
    constraints = _constraints(connection, field.model).values()
    return any(each["foreign_key"] and each["columns"] == [field.column] for each in constraints)


def _has_collation(connection: BaseDatabaseWrapper, field: Field) -> bool:
    found = dict(_rows(connection, COLLATIONS, field.model._meta.db_table))
    return found.get(field.column) in (None, _wanted(connection, field))


def _wanted(connection: BaseDatabaseWrapper, field: Field) -> str:
    """Return the collation of the field, or else of its table."""
    parameters: Mapping[str, Any] = field.db_parameters(connection)
    if collation := parameters.get("collation"):
        return str(collation)
    ((default,),) = _rows(connection, DEFAULT_COLLATION, field.model._meta.db_table)
    return str(default)


def _alter_columns(schema_editor: BaseDatabaseSchemaEditor, fields: list[Field]) -> None:
    """Give the columns of one table their collations, in one statement."""
    connection = schema_editor.connection
    table = connection.ops.quote_name(fields[0].model._meta.db_table)
    ((_, definition),) = _rows(connection, f"SHOW CREATE TABLE {table}")
    changes = [
        f"MODIFY {_redefined(definition, str(field.column), _wanted(connection, field))}"
        for field in fields
    ]
    schema_editor.execute(f"ALTER TABLE {table} {', '.join(changes)}", None)


def _redefined(definition: str, column: str, collation: str) -> str:
    """Return the column's line in its table's ``definition``, with another collation.

    MODIFY would remove what the line does not repeat: a default, a comment.
    """
    name, old = re.escape(column), r"(?: CHARACTER SET \w+)?(?: COLLATE \w+)?"
    line = re.search(rf"^ *(`{name}` \w+\(\d+\)){old}(.*?),?$", definition, re.MULTILINE)
    if line is None:
        raise CommandError(f"Unexpected definition of the column {column}: {definition}")
    return f"{line[1]} COLLATE {collation}{line[2]}"


def _collisions(connection: BaseDatabaseWrapper, model: Model, names: list[str]) -> Iterator[str]:
    """Yield pairs of values that the new collation does not distinguish, in unique columns."""
    table, quote = model._meta.db_table, connection.ops.quote_name
    current = dict(_rows(connection, COLLATIONS, table))
    fields = [_field(model, name) for name in names]
    changed = {each.column: _wanted(connection, each) for each in fields if each.column in current}

    def compared(column: str) -> str:
        if column not in changed:
            return quote(column)
        charset = changed[column].split("_")[0]
        return f"CONVERT({quote(column)} USING {charset}) COLLATE {changed[column]}"

    for constraint in _constraints(connection, model).values():
        columns = constraint["columns"]
        texts = [column for column in columns if column in changed]
        if not constraint["unique"] or not texts:
            continue
        text = quote(texts[0])
        query = (
            f"SELECT MIN({text}), MAX({text}) FROM {quote(table)} "  # noqa: S608
            f"WHERE {' AND '.join(f'{quote(column)} IS NOT NULL' for column in columns)} "
            f"GROUP BY {', '.join(map(compared, columns))} HAVING COUNT(*) > 1 LIMIT {EXAMPLES}"
        )
        pairs = _rows(connection, query)
        yield from (f"{table}.{texts[0]} {one!r} and {other!r}" for one, other in pairs)


def _announce(schema_editor: BaseDatabaseSchemaEditor, model: Model) -> None:
    table, connection = model._meta.db_table, schema_editor.connection
    if schema_editor.collect_sql:
        return
    ((count,),) = _rows(connection, f"SELECT COUNT(*) FROM {connection.ops.quote_name(table)}")  # noqa: S608
    if count:
        console.write(f"{table}: rebuilding the table of {count:,} rows")


def _field(model: Model, name: str) -> Field:
    field: Field = model._meta.get_field(name)  # type: ignore[assignment]
    return field


def _rows(connection: BaseDatabaseWrapper, query: str, *parameters: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters or None)
        return list(cursor.fetchall())
