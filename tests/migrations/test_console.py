"""The console output of migrations."""

from __future__ import annotations

import io

import pytest
from django.core.management.base import OutputWrapper

from aa_stripe.migrations._console import Console
from tests.support.terminal import Terminal


def console_on(stream, verbosity=1):
    console = Console()
    console.listen(verbosity=verbosity, stdout=OutputWrapper(stream), using="default")
    return console


def test_a_terminal_shows_progress():
    terminal = Terminal()

    batches = list(console_on(terminal).counting("charge: rows", [["a", "b"], ["c"]], total=3))

    assert batches == [["a", "b"], ["c"]]
    shown = terminal.getvalue().split("\r\033[K")
    assert shown == ["", "charge: rows: 2 of 3", "charge: rows: 3 of 3", ""]


@pytest.mark.parametrize(("stream", "verbosity"), [(io.StringIO(), 1), (Terminal(), 0)])
def test_progress_is_shown_on_a_terminal_only_and_not_with_verbosity_0(stream, verbosity):
    list(console_on(stream, verbosity).counting("charge: rows", [["a"]], total=1))

    assert stream.getvalue() == ""


def test_no_progress_is_shown_without_rows():
    terminal = Terminal()

    list(console_on(terminal).counting("charge: rows", [], total=0))

    assert terminal.getvalue() == ""


def test_a_report_is_written_below_the_name_of_the_migration():
    stream = io.StringIO("Applying aa_stripe.0024_storable_json...")
    stream.seek(0, io.SEEK_END)

    console_on(stream).write("one", "two")

    assert stream.getvalue() == "Applying aa_stripe.0024_storable_json...\n    one\n    two"


def test_no_report_is_written_with_verbosity_0():
    stream = io.StringIO()

    console_on(stream, verbosity=0).write("one")

    assert stream.getvalue() == ""


def test_the_report_is_written_to_stdout_without_migrate(capsys):
    Console().write("one")

    assert capsys.readouterr().out == "\n    one"
