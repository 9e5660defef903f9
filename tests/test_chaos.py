"""A short run of ``make chaos``."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from chaos.old_code import BEFORE_CLAIMS, ROOT

TIMEOUT = 900  # seconds, on a machine that does much else


#: The database of the suite.
DATABASE = os.environ.get("TEST_DATABASE", "sqlite")


def has_old_code():
    """Return whether the older version is in the history, which a shallow clone does not have."""
    command = ["git", "cat-file", "-e", BEFORE_CLAIMS]
    return subprocess.run(command, cwd=ROOT, stderr=subprocess.DEVNULL).returncode == 0


@pytest.mark.slow
@pytest.mark.django_db  # on each database of the suite
def test_each_row_is_as_stripe_says_after_everything_has_failed(worker_id):
    run_chaos(worker_id)


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.skipif(DATABASE == "sqlite", reason="The older version needs row locks.")
@pytest.mark.skipif(not has_old_code(), reason="The older version is not in the history.")
def test_each_row_is_as_stripe_says_after_old_and_new_code_have_charged_it(worker_id):
    run_chaos(worker_id, "--old-code")


def run_chaos(worker_id, *more):
    name = f"{os.environ.get('TEST_DATABASE_NAME', 'aa_stripe')}_chaos_{worker_id}"
    options = ["--database", DATABASE, "--name", name, *more]
    options += "--rows 30 --seed 1 --seconds 6 --minutes 0.1".split()
    command = [sys.executable, "-m", "chaos", *options]

    run = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)

    assert run.returncode == 0, run.stdout + run.stderr
