"""The report of a job's run: counts of rows, sums of money, and the failures."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeAlias

#: Why a row is skipped that was pending when it was listed and no longer is.
SETTLED_MEANWHILE = "already settled by another process"

#: Why a row is skipped whose payment Stripe has not concluded.
WAITING = "waiting for the bank or for its capture"

#: Why a row is skipped whose payment was looked up, is not paid, and is not to be paid now.
STILL_UNPAID = "still not paid"

#: The type of an error, and the lines that it went through.
Step: TypeAlias = tuple[str, tuple[tuple[str, int], ...]]

#: An error and its causes.
Kind: TypeAlias = tuple[Step, ...]

#: How many causes of an error are compared: it may be among its own.
MAX_CAUSES = 10


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

    ``traceback`` is ``""`` if the run had an error of that kind before: the same exceptions, from
    the same lines. When Stripe is down, every row of 100,000 fails in the same way.
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
    _kinds: set[Kind] = field(default_factory=set, repr=False, compare=False)

    def add(self, label: str, outcome: Outcome) -> Failure | None:
        """Count the outcome of the row named ``label``; return its failure if it has an error."""
        if outcome.done:
            self.done[outcome.done] += 1
        if outcome.skipped:
            self.skipped[outcome.skipped] += 1
        if outcome.amount is not None:
            self.amounts[outcome.done, outcome.currency] += outcome.amount
        if outcome.error is None:
            return None
        failure = self._failure(label, outcome.error)
        self.failed.append(failure)
        return failure

    def _failure(self, label: str, error: Exception) -> Failure:
        # Only texts are kept: the exception would keep its frames, and all their objects, alive.
        kind = _kind_of(error)
        is_known = kind in self._kinds
        self._kinds.add(kind)
        return Failure(
            label,
            error="".join(traceback.format_exception_only(error)).strip(),
            traceback="" if is_known else "".join(traceback.format_exception(error)),
        )


def _kind_of(error: BaseException) -> Kind:
    return tuple(islice(_steps(error), MAX_CAUSES))


def _steps(error: BaseException | None) -> Iterator[Step]:
    while error is not None:
        frames = traceback.walk_tb(error.__traceback__)
        lines = tuple((frame.f_code.co_filename, number) for frame, number in frames)
        yield type(error).__qualname__, lines
        error = error.__cause__
