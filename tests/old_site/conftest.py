"""The site as it was, the site with the changes, and processes that run them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.migrations.databases import ROOT, temporary

#: The site's own tests run in a process of their own, with its settings.
collect_ignore = ["site"]

HERE = Path(__file__).parent
RUN = HERE / "run.py"
SITE = HERE / "site"

#: Each with the page that names it, in the order in which they apply.
CHANGES = sorted((HERE / "changes").glob("*.patch"))


@pytest.fixture(scope="session")
def changed_site(tmp_path_factory):
    """The directory of the site with the changes."""
    site = tmp_path_factory.mktemp("old_site") / "site"
    shutil.copytree(SITE, site, ignore=shutil.ignore_patterns("__pycache__"))
    for change in CHANGES:
        subprocess.run(
            ["git", "apply", str(change)],
            cwd=site,
            env={**os.environ, "GIT_CEILING_DIRECTORIES": str(site.parent)},
            check=True,
        )
    return site


@pytest.fixture
def database(unblocked, new_name):
    """An empty database for the site."""
    with temporary(new_name()) as database:
        yield database


@pytest.fixture
def on_0_13(old_site, database):
    """``on_0_13("migrate")`` runs a command of the site as it was."""

    def run(*arguments):
        return old_site.run(
            *(str(RUN), *arguments),
            database=database.settings,
            cwd=SITE,
            PYTHONDONTWRITEBYTECODE="1",
        )

    return run


@pytest.fixture
def on_this_package(changed_site, database):
    """``on_this_package("migrate")`` runs a command of the changed site."""

    def run(*arguments):
        database.connection.close()
        ran = subprocess.run(
            [sys.executable, str(RUN), *arguments],
            cwd=changed_site,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "SITE_DATABASE": json.dumps(database.settings, default=str),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran

    return run
