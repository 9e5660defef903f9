"""Where a running ``migrate`` writes, and how much. Part of migrations, hence frozen."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from django.core.management.base import OutputWrapper
from django.db.models.signals import pre_migrate


class Console:
    """``migrate`` tells its operations neither its verbosity nor its stdout; its signal has both.

    Without ``migrate`` (an executor of one's own) what is told goes to ``sys.stdout``.
    """

    def __init__(self) -> None:
        self.verbosity = 1
        self._stdout: OutputWrapper | None = None

    def listen(self, verbosity: int, stdout: OutputWrapper | None = None, **kwargs: Any) -> None:
        self.verbosity = verbosity
        self._stdout = stdout

    @property
    def stdout(self) -> OutputWrapper:
        return self._stdout or OutputWrapper(sys.stdout)

    def tell(self, *lines: str) -> None:
        """Write ``lines`` below the "Applying ..." that ``migrate`` has begun to write."""
        if self.verbosity:
            self.stdout.write("".join(f"\n    {line}" for line in lines), ending="")

    def counting(self, label: str, batches: Iterable[list[Any]], total: int) -> Iterator[list[Any]]:
        """``batches``; a person who is looking sees how many of ``total`` are done."""
        done = 0
        for batch in batches:
            yield batch
            done += len(batch)
            self._show(f"{label}: {done:,} of {total:,}")
        if done:
            self._show("")

    def _show(self, text: str) -> None:
        if self.verbosity and self.stdout.isatty():
            self.stdout.write(f"\r\033[K{text}", ending="")
            self.stdout.flush()


console = Console()
pre_migrate.connect(console.listen, dispatch_uid="aa_stripe.migrations")
