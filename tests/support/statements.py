"""The SQL that a block of a test runs."""

from __future__ import annotations


def statements(captured):
    """Return the statements of ``CaptureQueriesContext``, without transaction control."""
    queries = (query["sql"] for query in captured.captured_queries)
    return [sql for sql in queries if not sql.startswith(("SAVEPOINT", "RELEASE", "BEGIN"))]
