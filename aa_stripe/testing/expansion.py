"""``expand``: objects in the place of their ids."""

from __future__ import annotations

import copy

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.paging import whole
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
    "customer": {"default_source": "card"},
    "payment_intent": {
        "customer": "customer",
        "latest_charge": "charge",
        "payment_method": "payment_method",
    },
    "payment_method": {"customer": "customer"},
    "refund": {
        "balance_transaction": "balance_transaction",
        "charge": "charge",
        "failure_balance_transaction": "balance_transaction",
        "payment_intent": "payment_intent",
    },
    "setup_intent": {"customer": "customer", "payment_method": "payment_method"},
}
"""For each kind of object the fields that hold an id, and of what."""


def expand(account: Account, shown: JSON, paths: list[str]) -> JSON:
    """Return a copy of the object or list with the objects that ``paths`` name put in."""
    expanded = copy.deepcopy(shown)
    for path in paths:
        parts = path.split(".")
        if len(parts) > MAX_DEPTH:
            raise bad_parameter(
                f"You cannot expand more than {MAX_DEPTH} levels of a property. Property: {path}",
                code="property_expansion_max_depth",
            )
        _expand(account, expanded, parts, path)
    return expanded


def _expand(account: Account, node: JSON, parts: list[str], path: str) -> None:
    if node["object"] == "list":
        _expand_items(account, node, parts, path)
        return
    if parts[:2] == ["invoice_settings", "default_payment_method"] and node["object"] == "customer":
        holder, name, kind, rest = node["invoice_settings"], parts[1], "payment_method", parts[2:]
    else:
        holder, name, rest = node, parts[0], parts[1:]
        kind = _kind(node, name, path)
    if kind == "list":
        holder[name] = _listed(account, node, name)
    elif isinstance(holder.get(name), str):
        holder[name] = copy.deepcopy(_found(account, kind, holder[name]))
    if rest and isinstance(holder.get(name), dict):
        _expand(account, holder[name], rest, path)


def _expand_items(account: Account, node: JSON, parts: list[str], path: str) -> None:
    if parts[0] != "data":
        raise _cannot(path)
    for item in node["data"]:
        if len(parts) > 1:
            _expand(account, item, parts[1:], path)


def _kind(node: JSON, name: str, path: str) -> str:
    if (node["object"], name) in _LISTS:
        return "list"
    kind = REFERENCES.get(node["object"], {}).get(name)
    if kind is None:
        raise _cannot(path)
    return kind


def _found(account: Account, kind: str, id: str) -> JSON | str:
    """Return the object; the id, if the object is gone."""
    card = account.find("card", id)
    if kind == "payment_method" and card is not None:
        return payment_methods.from_legacy(account, card)
    return account.find(kind, id) or id


def _listed(account: Account, node: JSON, name: str) -> JSON:
    url, objects = _LISTS[node["object"], name]
    return whole(url.format(node["id"]), copy.deepcopy(objects(account, node["id"])))


_LISTS = {
    ("customer", "sources"): ("/v1/customers/{}/sources", sources.of),
    ("charge", "refunds"): ("/v1/charges/{}/refunds", refunds.of),
}
"""Fields that are left out unless they are asked for."""


def _cannot(path: str) -> Refusal:
    return bad_parameter(f"This property cannot be expanded ({path}).")
