"""What a job says about its run."""

from __future__ import annotations

import traceback
from collections import Counter
from dataclasses import dataclass, field

#: So many failures are kept with their traceback, the others with their message only: when
#: Stripe is down, every one of 100,000 rows fails. The log has all the tracebacks.
TRACEBACKS_KEPT = 100


@dataclass(frozen=True)
class Outcome:
    """What came of one row: ``done`` says what was done, ``skipped`` why nothing was.

    ``amount`` is the money that was moved, in the smallest unit of ``currency``. A row with an
    ``error`` may be ``done`` as well: its money was collected, and then a receiver failed.
    """

    done: str = ""
    skipped: str = ""
    error: Exception | None = None
    amount: int | None = None
    currency: str = ""


@dataclass(frozen=True)
class Failure:
    """``label`` names what failed; ``traceback`` is ``""`` beyond the first failures."""

    label: str
    error: str
    traceback: str = ""


@dataclass
class Report:
    """Counts of rows, and details of failures only, so that it stays small.

    ``done`` counts by what was done, ``skipped`` by the reason. ``amounts`` are sums of money by
    what was done and the currency, in its smallest unit. ``stopped`` says why the run ended
    before its last row, ``""`` when it did not.
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
        # Only texts are kept: the error itself would keep its frames alive, with all they hold.
        is_told_in_full = len(self.failed) < TRACEBACKS_KEPT
        self.failed.append(
            Failure(
                label,
                error="".join(traceback.format_exception_only(error)).strip(),
                traceback="".join(traceback.format_exception(error)) if is_told_in_full else "",
            )
        )
