"""``expand``: objects in the place of their ids."""

from __future__ import annotations

import copy
from collections.abc import Callable

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.paging import page
from aa_stripe.testing.refusals import Refusal, bad_parameter
from aa_stripe.testing.resources import payment_methods, refunds, sources

MAX_DEPTH = 4

REFERENCES = {
    "card": {"customer": "customer"},
    "charge": {
        "balance_transaction": "balance_transaction",
        "customer": "customer",
        "payment_intent": "payment_intent",
    },
    "customer": {
        "default_source": "card",
        "invoice_settings.default_payment_method": "payment_method",
    },
    "payment_intent": {
        "customer": "customer",
        "latest_charge": "charge",
        "payment_method": "payment_method",
    },
    "payment_method": {"customer": "customer"},
    "plan": {"product": "product"},
    "price": {"product": "product"},
    "product": {"default_price": "price"},
    "refund": {
        "balance_transaction": "balance_transaction",
        "charge": "charge",
        "failure_balance_transaction": "balance_transaction",
        "payment_intent": "payment_intent",
    },
    "setup_intent": {"customer": "customer", "payment_method": "payment_method"},
}
"""For each kind of object the fields that hold an id, and of what."""

LISTS: dict[str, dict[str, tuple[str, str, Callable[[Account, str], list[JSON]]]]] = {
    "charge": {"refunds": ("refund", "/v1/charges/{}/refunds", refunds.of)},
    "customer": {"sources": ("card", "/v1/customers/{}/sources", sources.of)},
}
"""For each kind of object the lists that are left out unless they are asked for."""


def check(kind: str, paths: list[str]) -> None:
    """Refuse a path that an object of that ``kind`` does not have; ``list of charge`` is a kind."""
    for path in paths:
        parts = path.split(".")
        if len(parts) > MAX_DEPTH:
            raise bad_parameter(
                f"You cannot expand more than {MAX_DEPTH} levels of a property. Property: {path}",
                code="property_expansion_max_depth",
            )
        below = kind
        while parts:
            _, below, parts = _step(below, parts, path)


def expand(account: Account, kind: str, shown: JSON, paths: list[str]) -> JSON:
    """Return a copy with the objects that ``paths`` name put in; ``check()`` them first."""
    expanded = copy.deepcopy(shown)
    for path in paths:
        _expand(account, kind, expanded, path.split("."), path)
    return expanded


def _step(kind: str, parts: list[str], path: str) -> tuple[str, str, list[str]]:
    """Return the name of a field, the kind of what it stands for, and the rest of the path."""
    item = kind.removeprefix("list of ")
    if item != kind:
        if parts[0] != "data":
            raise _cannot(path)
        return "data", item, parts[1:]
    fields = {name: f"list of {item}" for name, (item, _, _) in LISTS.get(kind, {}).items()}
    fields.update(REFERENCES.get(kind, {}))
    for length in (1, 2):
        name = ".".join(parts[:length])
        if name in fields:
            return name, fields[name], parts[length:]
    raise _cannot(path)


def _expand(account: Account, kind: str, node: JSON, parts: list[str], path: str) -> None:
    name, below, rest = _step(kind, parts, path)
    if name == "data":
        nodes = node["data"]
    elif below.startswith("list of "):
        nodes = [_put_list(account, kind, node, name)]
    else:
        nodes = [_put_object(account, below, node, name)]
    for item in nodes:
        if rest and isinstance(item, dict):
            _expand(account, below, item, rest, path)


def _put_list(account: Account, kind: str, node: JSON, name: str) -> JSON:
    if name not in node:
        _, url, objects = LISTS[kind][name]
        listed = page(url.format(node["id"]), objects(account, node["id"]), {})
        node[name] = copy.deepcopy(listed)
    put: JSON = node[name]
    return put


def _put_object(account: Account, kind: str, node: JSON, name: str) -> JSON | None:
    """Put the object in the place of its id, and return it; the id stays if there is none."""
    *outer, field = name.split(".")
    for part in outer:
        node = node.get(part, {})
    held = node.get(field)
    if isinstance(held, str):
        held = copy.deepcopy(_found(account, kind, held))
        node[field] = held or node[field]
    return held


def _found(account: Account, kind: str, id: str) -> JSON | None:
    card = account.find("card", id)
    if kind == "payment_method" and card is not None:
        return payment_methods.from_legacy(account, card)
    return account.find(kind, id)


def _cannot(path: str) -> Refusal:
    return bad_parameter(f"This property cannot be expanded ({path}).")
