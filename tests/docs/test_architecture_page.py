"""docs/architecture.rst names a few files for the reader to open, and each of them exists."""

from __future__ import annotations

import docutils.core
import pytest
from docutils import nodes

from tests.docs.blocks import LENIENT, ROOT

PAGE = (ROOT / "docs" / "architecture.rst").read_text("utf-8")


def files_below(title):
    """Return the literals in the first enumerated list of the section of that title."""
    tree = docutils.core.publish_doctree(PAGE, settings_overrides=LENIENT)
    [section] = [it for it in tree.findall(nodes.section) if it[0].astext() == title]
    first = next(iter(section.findall(nodes.enumerated_list)))
    return [literal.astext() for literal in first.findall(nodes.literal)]


@pytest.mark.parametrize("title", ["Follow one charge", "Follow one event"])
def test_a_way_through_the_code_names_three_to_six_existing_files(title):
    files = files_below(title)

    assert 3 <= len(files) <= 6
    assert len(set(files)) == len(files)
    assert [path for path in files if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (ROOT / "docs").glob("diagrams/*.dot"))
)
def test_each_diagram_is_on_the_page_with_an_alternative_text(name):
    assert f".. graphviz:: diagrams/{name}.dot\n   :alt: " in PAGE
