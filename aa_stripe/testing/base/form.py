"""The encoding of Stripe's parameters: ``items[0][price]=price_1&metadata[a]=b``."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

_BRACKETS = re.compile(r"\[([^\]]*)\]")


def parse(encoded: str) -> dict[str, Any]:
    """Return the parameters as nested dictionaries and lists; the leaves are strings.

    Consecutive numeric keys from 0 form a list; ``expand[]=a&expand[]=b`` does as well.
    """
    tree: dict[str, Any] = {}
    for key, value in parse_qsl(encoded, keep_blank_values=True):
        _put(tree, _split(key), value)
    return {key: _with_lists(value) for key, value in tree.items()}


def _split(key: str) -> list[str]:
    name, _, _ = key.partition("[")
    return [name, *_BRACKETS.findall(key)]


def _put(tree: dict[str, Any], path: list[str], value: str) -> None:
    for part in path[:-1]:
        name = _name(tree, part)
        if not isinstance(tree.get(name), dict):  # a[b]=1 after a=1: the last one wins
            tree[name] = {}
        tree = tree[name]
    tree[_name(tree, path[-1])] = value


def _name(tree: dict[str, Any], name: str) -> str:
    return name or str(len(tree))


def _with_lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    below = {key: _with_lists(item) for key, item in value.items()}
    if list(below) == [str(number) for number in range(len(below))]:
        return list(below.values())
    return below


def leaves(value: Any) -> Any:
    """Convert every leaf of nested dictionaries and lists to a string, as a form sends it."""
    if isinstance(value, dict):
        return {str(key): leaves(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [leaves(item) for item in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def join(path: str, name: object) -> str:
    """Return the full name of ``name`` below ``path`` in Stripe's notation: ``metadata[key]``."""
    return f"{path}[{name}]" if path else str(name)
