"""The code blocks of a page, and a function that runs them."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
from dataclasses import dataclass
from pathlib import Path

import docutils.core
from docutils import nodes

ROOT = Path(__file__).resolve().parent.parent.parent

#: Pages that show code of ours.
PAGES = [ROOT / "README.rst", *sorted((ROOT / "docs").rglob("*.rst"))]

#: Docutils does not know the directives and roles of Sphinx; it must not stop at them.
LENIENT = {"report_level": 5, "halt_level": 5, "syntax_highlight": "none"}

#: ``request`` is pytest's own fixture, so the request of a page has another name.
FIXTURES = {"request": "http_request"}


@dataclass(frozen=True)
class Block:
    """A block of code; ``language`` is ``""`` if the page names none."""

    page: Path
    line: int
    language: str
    code: str

    def __str__(self):
        return f"{self.page.name}:{self.line}"


def blocks_of(page):
    tree = docutils.core.publish_doctree(page.read_text("utf-8"), settings_overrides=LENIENT)
    return [_block(page, found) for found in tree.findall(nodes.literal_block)]


def _block(page, found):
    code = found.astext()
    language = "".join(name for name in found["classes"] if name != "code")
    # docutils names the line after the block.
    return Block(page, max(1, (found.line or 1) - len(code.splitlines())), language, code)


def python_blocks(page):
    return [block for block in blocks_of(page) if block.language == "python"]


def table_below(page, title):
    """Return the rows of the table in the section of that title, without the header."""
    tree = docutils.core.publish_doctree(page.read_text("utf-8"), settings_overrides=LENIENT)
    [section] = [it for it in tree.findall(nodes.section) if it[0].astext() == title]
    [body] = section.findall(nodes.tbody)
    return [[entry.astext() for entry in row] for row in body]


def pages_in_toctrees(page=ROOT / "docs" / "index.rst"):
    """Return ``page`` and every page that a toctree below it names."""
    text = page.read_text("utf-8") if page.exists() else ""
    named = []
    for body in re.findall(r"^\.\. toctree::\n((?:   .*\n|\n)+)", text, re.MULTILINE):
        named += re.findall(r"^   ([\w/-]+)$", body, re.MULTILINE)
    below = [pages_in_toctrees(page.parent / f"{name}.rst") for name in named]
    return {page}.union(*below)


def count_of_python_blocks(page):
    """Count the Python blocks by their first lines, without parsing the page."""
    return len(re.findall(r"^ *\.\. code(?:-block)?:: python$", page.read_text("utf-8"), re.M))


def the_block(page, text):
    """Return the one Python block of ``page`` (its name in docs/) that contains ``text``."""
    path = ROOT / page if page == "README.rst" else ROOT / "docs" / page
    [found] = [block for block in python_blocks(path) if text in block.code]
    return found


def run(block, pytest_request, **given):
    """Run ``block``, then each test in it; return its names.

    A name that the block does not define comes from an earlier block of the page, from ``given``
    or from the fixture of that name, in this order.
    """
    body = ast.parse(block.code).body
    earlier = _earlier_definitions(block, undefined_names(body))
    module = ast.Module(body=[*earlier, *body], type_ignores=[])
    names = dict(given)
    for name in undefined_names(module.body) - set(given):
        names[name] = pytest_request.getfixturevalue(FIXTURES.get(name, name))
    exec(compile(module, str(block), "exec"), names)
    for name, test in list(names.items()):
        if name.startswith("test_") and inspect.isfunction(test):
            wanted = inspect.signature(test).parameters
            test(**{name: pytest_request.getfixturevalue(name) for name in wanted})
    return names


def _earlier_definitions(block, wanted):
    """Return the earlier imports and definitions of the page that define the ``wanted`` names."""
    wanted = set(wanted)
    found = []
    earlier = [it for it in python_blocks(block.page) if it.line < block.line]
    for statement in (it for one in reversed(earlier) for it in reversed(ast.parse(one.code).body)):
        if wanted & _imported_or_defined(statement):
            wanted |= undefined_names([statement])
            found.insert(0, statement)
    return found


def _imported_or_defined(statement):
    if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return _defined_in([statement])
    return set()


def undefined_names(statements):
    """Return the names that ``statements`` use without defining them."""
    used = {
        node.id
        for node in _nodes_of(statements)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    }
    return used - _defined_in(statements) - set(dir(builtins))


def _defined_in(statements):
    defined = set()
    for node in _nodes_of(statements):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            defined.add(node.id)
        elif isinstance(node, ast.arg):
            defined.add(node.arg)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            defined.add(node.name)
        elif isinstance(node, ast.alias):
            defined.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.ExceptHandler):
            defined.add(node.name)
    return defined


def _nodes_of(statements):
    return [node for statement in statements for node in ast.walk(statement)]
