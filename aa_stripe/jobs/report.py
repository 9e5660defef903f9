"""The report of a job's run: counts of rows, sums of money, and the failures."""

from __future__ import annotations

import traceback
from collections import Counter
from dataclasses import dataclass, field

#: Number of failures that keep their traceback; later ones keep their message only. When Stripe
#: is down, every row of 100,000 fails. The log has all tracebacks.
TRACEBACKS_KEPT = 100

#: Why a row is skipped that was pending when it was listed and no longer is.
SETTLED_MEANWHILE = "already settled by another process"


@dataclass(frozen=True)
class Outcome:
    """The result for one row: ``done`` names the action, ``skipped`` the reason for no action.

    ``amount`` is the money that was moved, in the smallest unit of ``currency``; ``None`` if no
    money was moved. A row with an ``error`` may be ``done`` as well: its money was collected, and
    then a receiver failed.
    """

    done: str = ""
    skipped: str = ""
    error: Exception | None = None
    amount: int | None = None
    currency: str = ""


@dataclass(frozen=True)
class Failure:
    """A row that failed: its ``label``, the error's message and its traceback.

    ``traceback`` is ``""`` after the first ``TRACEBACKS_KEPT`` failures.
    """

    label: str
    error: str
    traceback: str = ""


@dataclass
class Report:
    """Counts of rows, with details of failures only, so that it stays small.

    ``done`` counts rows by action, ``skipped`` by reason. ``amounts`` sums money by action and
    currency, in the currency's smallest unit. ``stopped`` is the reason why the run ended before
    its last row; ``""`` if it reached the last row.
    """

    done: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    failed: list[Failure] = field(default_factory=list)
    amounts: Counter[tuple[str, str]] = field(default_factory=Counter)
    stopped: str = ""

    def add(self, label: str, outcome: Outcome) -> None:
        if outcome.done:
            self.done[outcome.done] += 1
        if outcome.skipped:
            self.skipped[outcome.skipped] += 1
        if outcome.amount is not None:
            self.amounts[outcome.done, outcome.currency] += outcome.amount
        if outcome.error is not None:
            self._add_failure(label, outcome.error)

    def _add_failure(self, label: str, error: Exception) -> None:
        # Only texts are kept: the exception would keep its frames, and all their objects, alive.
        keeps_traceback = len(self.failed) < TRACEBACKS_KEPT
        self.failed.append(
            Failure(
                label,
                error="".join(traceback.format_exception_only(error)).strip(),
                traceback="".join(traceback.format_exception(error)) if keeps_traceback else "",
            )
        )
