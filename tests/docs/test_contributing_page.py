"""What CONTRIBUTING.rst and docs/contributing.rst describe works."""

from __future__ import annotations

import importlib
import re
import sys
import types

import pytest

from aa_stripe.testing import resources
from tests.docs.blocks import ROOT, blocks_of, run, the_block

pytest_plugins = ["aa_stripe.testing.fixtures"]

PAGE = "contributing.rst"

NEW_FILE = "aa_stripe/testing/resources/subscription_items.py"


@pytest.fixture
def new_resource(monkeypatch):
    """The example's module, as if its file existed."""
    module = types.ModuleType(f"{resources.__name__}.subscription_items")
    exec(the_block(PAGE, "def list_all").code, vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(resources, "subscription_items", module, raising=False)
    return module


@pytest.fixture
def new_route(new_resource, monkeypatch):
    """The routes with the example's diff applied."""
    [diff] = [block.code for block in blocks_of(ROOT / "docs" / PAGE) if block.language == "diff"]
    path = re.search(r"^\+\+\+ b/(\S+)$", diff, re.MULTILINE)[1]
    routes = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    changed = types.ModuleType("changed_routes")
    monkeypatch.setitem(sys.modules, changed.__name__, changed)  # dataclasses look there
    exec(patched((ROOT / path).read_text("utf-8"), diff), vars(changed))
    monkeypatch.setattr(routes, "ROUTES", changed.ROUTES)


def patched(text, diff):
    """Return ``text`` with each hunk of the ``diff`` applied; fail unless each matches once."""
    for hunk in diff.split("@@\n")[1:]:
        lines = hunk.splitlines()
        before = "\n".join(line[1:] for line in lines if not line.startswith("+")) + "\n"
        after = "\n".join(line[1:] for line in lines if not line.startswith("-")) + "\n"
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return text


def test_the_new_endpoint_works_through_the_sdk(new_route, fake_stripe, request):
    run(the_block(PAGE, "def test_the_items"), request)

    assert fake_stripe.requests[-1].path == "/v1/subscription_items"


def test_the_new_endpoint_does_not_exist_yet():
    assert not (ROOT / NEW_FILE).exists()


def test_each_command_is_a_target_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))

    for path in ("CONTRIBUTING.rst", "docs/contributing.rst", ".github/PULL_REQUEST_TEMPLATE.md"):
        named = set(re.findall(r"`make ([\w-]+)", (ROOT / path).read_text("utf-8")))
        assert named <= targets, path


def test_each_path_that_is_named_exists():
    for path in ("CONTRIBUTING.rst", "docs/contributing.rst"):
        text = (ROOT / path).read_text("utf-8")
        named = set(re.findall(r"``([\w./-]+(?:/|\.py|\.rst|\.md|\.toml|\.ini|\.yml))``", text))
        named -= {NEW_FILE}
        assert [it for it in named if not (ROOT / it).exists()] == [], path
