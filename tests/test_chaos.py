"""A short run of ``make chaos``."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

TIMEOUT = 900  # seconds, on a machine that does much else


@pytest.mark.slow
@pytest.mark.django_db  # on each database of the suite
def test_each_row_is_as_stripe_says_after_everything_has_failed(worker_id):
    database = os.environ.get("TEST_DATABASE", "sqlite")
    name = f"{os.environ.get('TEST_DATABASE_NAME', 'aa_stripe')}_chaos_{worker_id}"
    options = "--rows 30 --seed 1 --seconds 6 --minutes 0.1".split()
    command = [sys.executable, "-m", "chaos", "--database", database, "--name", name, *options]

    run = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)

    assert run.returncode == 0, run.stdout + run.stderr
