"""Convert 0.14's JSON texts to a form that the next migration's JSON columns accept.

Each batch of rows is committed on its own, and valid rows are not written. So the migration may be
killed and started again at any time.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import migrations, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import QuerySet

from aa_stripe.migrations._console import console
from aa_stripe.migrations._json_text import storable
from aa_stripe.migrations._rows import batches_of, rows_of

logger = logging.getLogger("aa-stripe")

#: The columns that hold JSON as text, with the text of each field's default.
JSON_COLUMNS = {
    "stripecustomer": {"stripe_response": "{}", "stripe_js_response": "{}", "sources": "[]"},
    "stripecoupon": {"stripe_response": "{}", "metadata": "{}"},
    "stripesubscriptionplan": {"stripe_response": "{}", "source": "{}", "metadata": "{}"},
    "stripecharge": {"stripe_response": "{}"},
    "stripesubscription": {"stripe_response": "{}", "metadata": "{}"},
    "stripewebhook": {"raw_data": "{}"},
}

#: Number of primary keys that are printed for each kind of change.
EXAMPLES = 10


class Report:
    """The changes by row: each one in the log, a summary on the console."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = defaultdict(list)

    def note(self, model_name: str, pk: Any, column: str, changes: list[str]) -> None:
        for change in changes:
            logger.info("%s %s: %s %s", model_name, pk, column, change)
            kind = f"{model_name}.{column} {change}"
            self._counts[kind] += 1
            if len(self._examples[kind]) < EXAMPLES:
                self._examples[kind].append(str(pk))

    def write(self) -> None:
        if not self._counts:
            return
        console.write(
            "JSON that some databases reject was changed (see docs/upgrading.rst; each row is "
            'logged by "aa-stripe" at level INFO):',
            *map(self._line, self._counts),
        )

    def _line(self, kind: str) -> str:
        count, examples = self._counts[kind], ", ".join(self._examples[kind])
        more = ", ..." if count > EXAMPLES else ""
        return f"{kind}: {count:,} ({examples}{more})"


def make_json_storable(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    report = Report()
    with text_of_any_kind(schema_editor.connection):
        for model_name, columns in JSON_COLUMNS.items():
            rows = rows_of(apps, model_name, schema_editor.connection.alias)
            make_rows_storable(rows, columns, report)
    report.write()


def make_rows_storable(rows: QuerySet[Any], columns: dict[str, str], report: Report) -> None:
    for batch in batches_of(rows, *columns):
        with transaction.atomic(using=rows.db):
            for pk, *texts in batch:
                make_row_storable(rows, pk, dict(zip(columns, texts, strict=True)), columns, report)


def make_row_storable(
    rows: QuerySet[Any],
    pk: Any,
    texts: dict[str, str | bytes | None],
    defaults: dict[str, str],
    report: Report,
) -> None:
    changed = {}
    for column, text in texts.items():
        stored, changes = storable(text, defaults[column])
        if changes:
            changed[column] = stored
            report.note(rows.model._meta.model_name, pk, column, changes)
    if changed:
        rows.filter(pk=pk).update(**changed)


@contextmanager
def text_of_any_kind(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Read text that is not UTF-8 as bytes. Only SQLite stores such text."""
    if connection.vendor != "sqlite":
        yield
        return
    connection.ensure_connection()
    raw = connection.connection
    kept, raw.text_factory = raw.text_factory, text_or_bytes
    try:
        yield
    finally:
        raw.text_factory = kept


def text_or_bytes(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("aa_stripe", "0023_check_upgrade")]

    operations = [migrations.RunPython(make_json_storable, migrations.RunPython.noop)]
