"""The rooms of ``aa_stripe.testing``. Imports that are for type checkers only count as well."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import aa_stripe.testing
from aa_stripe.testing.http.routes import ROUTES

PACKAGE = "aa_stripe.testing"
FOLDER = Path(aa_stripe.testing.__file__).parent

ROOMS = ["base", "cards", "payments", "billing", "resources", "http"]

LAYERS = [
    {"base"},
    {"cards"},
    {"account"},
    {"payments"},
    {"billing"},
    {"resources"},
    {"http"},
    {"dashboard", "webhooks"},
    {"fake"},
    {"__init__"},
    {"__main__", "fixtures"},
]
"""From the bottom to the top; a module imports from its own room and from lower layers."""

LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}


def name_of(path):
    """``http.api`` for a module, ``http`` for a room, ``__init__`` for the package itself."""
    parts = path.relative_to(FOLDER).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "__init__"


MODULES = {name_of(path): path for path in FOLDER.rglob("*.py")}


def imported_by(name):
    """The modules of ours that a module names in an import, wherever that stands."""
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from _ours(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            yield from _ours(f"{node.module}.{alias.name}" for alias in node.names)


def _ours(names):
    for name in names:
        if name == PACKAGE or name.startswith(f"{PACKAGE}."):
            yield _module(name.removeprefix(PACKAGE).removeprefix("."))


def _module(name):
    """The module that a name is, or that it is in."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name or "__init__"


def room(name):
    return name.partition(".")[0]


IMPORTS = {name: set(imported_by(name)) for name in MODULES}


def test_the_imports_are_read():
    assert {"base.refusals", "cards.card"} <= IMPORTS["account"]
    assert "resources.refunds" in IMPORTS["http.routes"]


def test_no_module_imports_itself_in_a_circle():
    list(TopologicalSorter(IMPORTS).static_order())


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_imports_from_its_room_and_from_lower_ones(name):
    own = room(name)

    others = {room(imported) for imported in IMPORTS[name]} - {own}

    assert {other for other in others if LEVELS[other] >= LEVELS[own]} == set()


def test_an_endpoint_imports_no_other_endpoint():
    assert [
        name
        for name in MODULES
        if room(name) == "resources" and "resources" in map(room, IMPORTS[name])
    ] == []


def test_every_folder_is_a_room():
    assert {room(name) for name in MODULES if "." in name} == set(ROOMS)


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_says_in_a_sentence_what_belongs_there(name):
    (sentence,) = MODULES[name].read_text(encoding="utf-8").splitlines()

    assert sentence.startswith('"""')
    assert sentence.endswith('."""')


def test_every_file_of_endpoints_is_in_the_routes():
    routed = {route.handler.__module__.rpartition(".")[2] for route in ROUTES}

    assert {f"resources.{name}" for name in routed} | {"resources"} == {
        name for name in MODULES if room(name) == "resources"
    }


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_has_at_most_300_lines(name):
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= 300
