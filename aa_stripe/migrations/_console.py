"""The console of a running ``migrate``. Part of the migrations, so it must not change."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

from django.core.management.base import OutputWrapper
from django.db.models.signals import pre_migrate


class Console:
    """Output with the verbosity and the stdout of ``migrate``.

    Operations get neither of them, so both come from the signal ``pre_migrate``. A custom executor
    that sends no signal writes to ``sys.stdout``.
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

    def write(self, *lines: str) -> None:
        """Write ``lines`` below the line "Applying ..." of ``migrate``."""
        if self.verbosity:
            self.stdout.write("".join(f"\n    {line}" for line in lines), ending="")

    def counting(self, label: str, batches: Iterable[list[Any]], total: int) -> Iterator[list[Any]]:
        """Yield ``batches``, and show on a terminal how many of ``total`` rows are done."""
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
