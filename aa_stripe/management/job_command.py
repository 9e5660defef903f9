"""The base of the commands that run a job: options, progress, report, exit status."""

from __future__ import annotations

import math
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from tqdm import tqdm

from aa_stripe.checks import key_needed
from aa_stripe.jobs import Outcome, Report, Watcher
from aa_stripe.money import format_money
from aa_stripe.settings import stripe_settings

#: Signals that stop a run after the current row. The report is printed as usual.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class JobCommand(BaseCommand):
    """A command that runs a job. A subclass defines ``run_job``."""

    #: The help text of ``--limit N``.
    limit_help = ""
    #: What ``--workers`` work on, in the plural; without it, there is no such option.
    work = ""
    #: The lowest number of ``--workers``.
    fewest_workers = 1
    #: Whether this run prints failures only; known when the job is done.
    is_quiet = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--limit", type=int, metavar="N", help=self.limit_help)
        parser.add_argument(
            "--rate",
            type=float,
            metavar="R",
            help="Send at most R requests per second to Stripe "
            "(default: the setting STRIPE_REQUESTS_PER_SECOND).",
        )
        if self.work:
            parser.add_argument(
                "--workers",
                type=int,
                metavar="N",
                help=f"Work on N {self.work} at once (default: 4, and 1 on SQLite).",
            )
        parser.add_argument(
            "--dry-run", action="store_true", help="Show what would be done; change nothing."
        )

    def check(self, *args: Any, **kwargs: Any) -> None:
        """Run the system checks. A missing API key is an error here."""
        with key_needed():
            super().check(*args, **kwargs)

    def run_job(self, options: dict[str, Any], watcher: Watcher) -> Report:
        raise NotImplementedError

    def conclude(self, report: Report, options: dict[str, Any]) -> None:
        """Do nothing. A subclass may act on the report here, after it is printed."""

    def handle(self, *args: Any, **options: Any) -> None:
        _check_options(options["limit"], options["rate"])
        self._check_workers(options.get("workers"))
        watcher = _CommandWatcher(self, options)
        with _stopping(watcher):
            report = self.run_job(options, watcher)
        self.is_quiet = self._is_quiet(report, options)
        if not self.is_quiet:
            self._print_counts(report)
        self._print_failures(report)
        self.conclude(report, options)
        if report.failed:
            sys.exit(1)
        if watcher.stop_signal:
            sys.exit(128 + watcher.stop_signal)  # as a shell reports a process that a signal ended

    def _is_quiet(self, report: Report, options: dict[str, Any]) -> bool:
        """Return whether to print failures only.

        Cron mails whatever is printed, so the report needs a terminal, a caller in Python who reads
        it (``call_command(..., stdout=...)``), or something to act on.
        """
        if options["verbosity"] != 1:
            return bool(options["verbosity"] == 0)
        is_read = self.stdout.isatty() or options.get("stdout") is not None
        return not (is_read or options["dry_run"] or self.has_something_to_act_on(report))

    def has_something_to_act_on(self, report: Report) -> bool:
        """Return whether the report is printed without a terminal too."""
        return bool(report.failed or report.stopped)

    def _check_workers(self, workers: int | None) -> None:
        fewest = self.fewest_workers
        if workers is not None and workers < fewest:
            raise CommandError(f"--workers must be at least {fewest} (got {workers}).")

    def _print_counts(self, report: Report) -> None:
        for what, count in report.done.items():
            if count:
                money = _sums(report, what)
                self.stdout.write(f"{what}: {count}" + (f" ({money})" if money else ""))
        for why, count in report.skipped.items():
            if count:
                self.stdout.write(f"skipped ({why}): {count}")
        if report.stopped:
            self.stdout.write(f"Stopped early: {report.stopped}.")

    def _print_failures(self, report: Report) -> None:
        for failure in report.failed:
            if failure.traceback:
                self.stdout.write(f"Exception happened\n{failure.label}\n{failure.traceback}")
            else:
                self.stdout.write(f"Exception happened. {failure.label}: {failure.error}")
        if report.failed:
            self.stdout.write(f"failed: {len(report.failed)}")


class _CommandWatcher(Watcher):
    """Progress on a terminal: a bar, or with ``--verbosity 2`` a line for each row."""

    def __init__(self, command: BaseCommand, options: dict[str, Any]) -> None:
        self.stop_signal = 0
        self._stdout = command.stdout
        self._stderr: TextIO = options.get("stderr") or sys.stderr
        self._lists_rows = options["verbosity"] > 1
        self._shows_bar = options["verbosity"] == 1 and self._stderr.isatty()
        self._bar: tqdm[Any] | None = None

    def begin(self, title: str, count: Callable[[], int | None]) -> None:
        if self._shows_bar and (total := count()) != 0:
            self._bar = tqdm(desc=title, total=total, file=self._stderr)

    def saw(self, label: str, outcome: Outcome) -> None:
        if self._bar is not None:
            self._bar.update()
        if self._lists_rows:
            self._stdout.write(f"{label}: {_described(outcome)}")

    def end(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _described(outcome: Outcome) -> str:
    parts = [outcome.done or outcome.skipped]
    if outcome.amount is not None:
        parts.append(format_money(outcome.amount, outcome.currency))
    if outcome.error is not None:
        parts.append(f"failed: {outcome.error}")
    return ", ".join(filter(None, parts))


def _sums(report: Report, what: str) -> str:
    return ", ".join(
        format_money(amount, currency)
        for (done, currency), amount in sorted(report.amounts.items())
        if done == what
    )


def length_of_time(name: str, number: float | None, unit: timedelta) -> timedelta | None:
    """Return the value of the option ``name`` as a ``timedelta``; ``None`` stays ``None``.

    Raises ``CommandError`` if the value is not a length of time, or reaches back before the
    earliest date.
    """
    if number is None:
        return None
    try:
        length = number * unit
        timezone.now() - length
    except (OverflowError, ValueError) as error:
        raise CommandError(
            f"{name} must be a length of time, and not too long (got {number})."
        ) from error
    if length < timedelta(0):
        raise CommandError(f"{name} must not be negative (got {number}).")
    return length


def _check_options(limit: int | None, rate: float | None) -> None:
    if limit is not None and limit < 1:
        raise CommandError(f"--limit must be at least 1 (got {limit}).")
    if rate is None:
        rate = stripe_settings.REQUESTS_PER_SECOND
    if not 0 < rate < math.inf:
        raise CommandError(
            f"The rate must be a number of requests per second above 0 (got {rate})."
        )


@contextmanager
def _stopping(watcher: _CommandWatcher) -> Iterator[None]:
    """Stop the run after the current row at the first signal, and at once at a second one."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python handles signals in its main thread only
        return

    def stop(number: int, frame: FrameType | None) -> None:
        watcher.stop_signal = number
        watcher.stop_reason = f"received {signal.Signals(number).name}"
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)

    before = {
        number: signal.signal(number, stop)
        for number in STOP_SIGNALS
        if signal.getsignal(number) is not signal.SIG_IGN  # a shell's background job ignores SIGINT
    }

    try:
        yield
    finally:
        restore()
