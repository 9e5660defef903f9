"""The examples of docs/testing.rst work as the page says."""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path

import pytest

from aa_stripe.testing import FakeStripe, Fault
from aa_stripe.testing.cards.catalog import NAMES

pytest_plugins = ["aa_stripe.testing.fixtures"]

PAGE = (Path(__file__).parents[2] / "docs" / "testing.rst").read_text(encoding="utf-8")
BLOCK = re.compile(r"^\.\. code-block:: python\n\n((?:    .*\n|\n)+)", re.MULTILINE)


@pytest.fixture(scope="module")
def examples():
    """The names that the code of the page defines."""
    code = "\n".join(textwrap.dedent(block) for block in BLOCK.findall(PAGE))
    defined = {"__name__": "examples"}
    exec(compile(code, "docs/testing.rst", "exec"), defined)
    return defined


@pytest.mark.django_db
@pytest.mark.parametrize("name", re.findall(r"def (test_\w+)", PAGE))
def test_the_examples_pass(name, examples, request):
    example = examples[name]

    example(*map(request.getfixturevalue, inspect.signature(example).parameters))


def test_every_public_name_is_on_the_page():
    public = [name for name in vars(FakeStripe) if not name.startswith("_")]

    missing = [name for name in public if not re.search(rf"\b{name}\b", PAGE)]
    assert missing == []


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name)
def test_every_fault_is_on_the_page(fault):
    assert f"``{fault.name}``" in PAGE


@pytest.mark.parametrize("name", NAMES)
def test_every_card_is_on_the_page(name):
    short = name.removeprefix("visa_") if name.startswith("visa_charge") else name
    assert f"``{short}``" in PAGE
