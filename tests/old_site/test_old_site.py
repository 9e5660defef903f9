"""A site written for 0.13 runs on this package with the changes that the docs name.

``site`` is as its developer wrote it: settings, models, migrations, receivers, views, admin,
commands and tests. ``changes`` are all that it needs, one patch for each difference.
"""

from __future__ import annotations

import re

import pytest

from tests.migrations.databases import ROOT
from tests.old_site.conftest import CHANGES, HERE

#: How many tests the site has. The changes add none and take none away.
TESTS = 104


def test_the_site_passes_its_tests_on_0_13(on_0_13):
    ran = on_0_13("test", "--noinput")

    assert f"Ran {TESTS} tests" in ran.stderr


def test_the_changed_site_passes_its_tests_on_this_package(on_this_package):
    ran = on_this_package("test", "--noinput")

    assert f"Ran {TESTS} tests" in ran.stderr


def test_the_database_of_the_site_is_upgraded(on_0_13, on_this_package):
    on_0_13("migrate", "-v0")
    on_0_13("shell", "-c", (HERE / "fill.py").read_text("utf-8"))
    before = on_0_13("books").stdout

    on_this_package("migrate", "-v0")

    on_this_package("check")
    on_this_package("makemigrations", "--check", "--dry-run")
    assert before.count("\n") > 10
    assert on_this_package("books").stdout == before


def test_a_new_database_of_the_site_is_that_of_its_models(on_this_package):
    on_this_package("migrate", "-v0")

    assert "Basic" in on_this_package("books").stdout
    on_this_package("makemigrations", "--check", "--dry-run")


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.stem)
def test_the_documentation_names_the_change(change):
    page, text = re.match(r"Page: (.+)\nText: (.+)\n\n", change.read_text("utf-8")).groups()

    assert text in " ".join((ROOT / page).read_text("utf-8").split())
