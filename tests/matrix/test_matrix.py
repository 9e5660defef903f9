"""The flows of this folder on sites with other settings, each in a process of its own.

A model of users and a router cannot be changed within a process. Each process is a run of pytest
with a database that it creates. Where a database server is used, each site has its own there.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

# The database that is opened by the mark is not used. Without it, these tests run on SQLite only.
pytestmark = [pytest.mark.slow, pytest.mark.django_db]

TIMEOUT = 600  # seconds


def on_sqlite(*values):
    return pytest.param(*values, marks=pytest.mark.once)


@pytest.mark.parametrize(
    ("site", "module"),
    [
        ("base", "flows"),
        ("naive", "flows"),
        ("uuid_users", "flows"),
        ("text_keys", "flows"),
        on_sqlite("offices", "flows"),
        on_sqlite("replica", "flows"),
        on_sqlite("atomic", "flows"),
        ("atomic", "in_views"),
        ("atomic_allowed", "in_views"),
        on_sqlite("base", "other_account"),
    ],
)
def test_every_flow_passes_on_the_site(site, module, tmp_path):
    ran = run_flows(site, module, tmp_path)

    summary = ran.stdout.strip().rpartition("\n")[2]
    assert re.fullmatch(rf"{number_of_flows(module)} passed in .*", summary), ran.stdout


def number_of_flows(module):
    """Return the number of tests in the module, which the models of this process cannot import."""
    return len(re.findall(r"^def test_", path_of(module).read_text(), re.MULTILINE))


def path_of(module):
    return Path(__file__).with_name(f"{module}.py")


def run_flows(site, module, directory):
    """Run the module's tests on the site; a test that is skipped is part of the last line."""
    name = os.environ.get("TEST_DATABASE_NAME", "aa_stripe")
    own = {
        "TEST_DATABASE_NAME": f"{name}_{site}_{module}",
        "TEST_SQLITE_DIRECTORY": str(directory),
        "COLUMNS": "100",
    }
    inherited = {key: it for key, it in os.environ.items() if not key.startswith("PYTEST_")}
    return subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--color=no", "-p", "no:cacheprovider"),
            *("--create-db", f"--ds=tests.matrix.settings_{site}", str(path_of(module))),
        ],
        env=inherited | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
