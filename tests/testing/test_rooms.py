"""The rooms of ``aa_stripe.testing`` and their imports, including those for type checkers only."""

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
    {"dashboard", "network", "webhooks"},
    {"fake"},
    {"__init__", "deliveries"},
    {"__main__", "fixtures"},
]
"""The layers, lowest first; a module imports from its own room and from lower layers."""

LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}


def name_of(path):
    """Return ``http.api`` for a module, ``http`` for a room, ``__init__`` for the package."""
    parts = path.relative_to(FOLDER).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts) or "__init__"


MODULES = {name_of(path): path for path in FOLDER.rglob("*.py")}


def imported_by(name):
    """Yield the modules of this package that the module imports, at any level."""
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
    """Return the module of that name or the module that contains it."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return name or "__init__"


def room(name):
    return name.partition(".")[0]


IMPORTS = {name: set(imported_by(name)) for name in MODULES}


def test_the_imports_are_found():
    assert {"base.refusals", "cards.card"} <= IMPORTS["account"]
    assert "resources.refunds" in IMPORTS["http.routes"]


def test_there_are_no_circular_imports():
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
def test_a_room_has_a_docstring_of_one_sentence(name):
    (sentence,) = MODULES[name].read_text(encoding="utf-8").splitlines()

    assert sentence.startswith('"""')
    assert sentence.endswith('."""')


def test_every_module_of_endpoints_is_in_the_routes():
    routed = {route.handler.__module__.rpartition(".")[2] for route in ROUTES}

    assert {f"resources.{name}" for name in routed} | {"resources"} == {
        name for name in MODULES if room(name) == "resources"
    }


@pytest.mark.parametrize("name", sorted(MODULES))
def test_a_module_has_at_most_300_lines(name):
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= 300
