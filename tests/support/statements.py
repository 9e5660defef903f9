"""The SQL that a block of a test runs."""

from __future__ import annotations

JOB_RUN = "aa_stripe_stripejobrun"


def statements(captured):
    """Return the statements of ``CaptureQueriesContext``, without transaction control.

    And without those about a job's run, which ``about_the_run()`` returns.
    """
    return [sql for sql in _all(captured) if JOB_RUN not in sql]


def about_the_run(captured):
    """Return the statements about what a job remembers of its run."""
    return [sql for sql in _all(captured) if JOB_RUN in sql]


def _all(captured):
    queries = (query["sql"] for query in captured.captured_queries)
    return [sql for sql in queries if not sql.startswith(("SAVEPOINT", "RELEASE", "BEGIN"))]
