"""``expand``: replacement of ids by their objects."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.paging import page
from aa_stripe.testing.base.refusals import Refusal, bad_parameter
from aa_stripe.testing.billing import coupons, invoice_payments, subscription_status
from aa_stripe.testing.payments import legacy_cards, payment_methods, refunds

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
    "discount": {"customer": "customer", "source.coupon": "coupon"},
    "invoice": {
        "customer": "customer",
        "default_payment_method": "payment_method",
        "discounts": "discount",
        "parent.subscription_details.subscription": "subscription",
    },
    "invoice_payment": {"invoice": "invoice", "payment.payment_intent": "payment_intent"},
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
    "subscription": {
        "customer": "customer",
        "default_payment_method": "payment_method",
        "default_source": "card",
        "discounts": "discount",
        "latest_invoice": "invoice",
    },
}
"""For each kind of object: the fields that contain ids, and the kind these ids refer to."""

PARTS = {
    "subscription": {"items": "list of subscription_item"},
    "subscription_item": {"plan": "plan", "price": "price"},
}
"""For each kind of object: the nested objects that are always included."""

LISTS: dict[str, dict[str, tuple[str, str, Callable[[Account, str], list[JSON]]]]] = {
    "charge": {"refunds": ("refund", "/v1/charges/{}/refunds", refunds.of)},
    "customer": {
        "sources": ("card", "/v1/customers/{}/sources", legacy_cards.of),
        "subscriptions": (
            "subscription",
            "/v1/customers/{}/subscriptions",
            subscription_status.running,
        ),
    },
    "invoice": {
        "payments": ("invoice_payment", "/v1/invoice_payments?invoice={}", invoice_payments.of)
    },
}
"""For each kind of object: the lists that are included only if they are expanded."""

EXTRAS: dict[str, dict[str, Callable[[Account, str], JSON | None]]] = {
    "coupon": {"currency_options": coupons.currency_options},
    "invoice": {"confirmation_secret": invoice_payments.confirmation_secret},
}
"""For each kind of object: the other fields that are included only if they are expanded."""


def check(kind: str, paths: list[str]) -> None:
    """Raise ``Refusal`` if a ``kind`` (also "list of charge") lacks one of the ``paths``."""
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
    """Return a copy of ``shown`` with ``paths`` expanded; ``check()`` the paths first."""
    expanded = copy.deepcopy(shown)
    for path in paths:
        _expand(account, kind, expanded, path.split("."), path)
    return expanded


def _step(kind: str, parts: list[str], path: str) -> tuple[str, str, list[str]]:
    """Return the name of the next field, its kind, and the rest of the path."""
    item = kind.removeprefix("list of ")
    if item != kind:
        if parts[0] != "data":
            raise _cannot(path)
        return "data", item, parts[1:]
    fields = {name: f"list of {item}" for name, (item, _, _) in LISTS.get(kind, {}).items()}
    fields.update(REFERENCES.get(kind, {}))
    fields.update(dict.fromkeys(EXTRAS.get(kind, {}), ""))
    if len(parts) > 1:
        fields.update(PARTS.get(kind, {}))
    for length in (1, 2, 3):
        name = ".".join(parts[:length])
        if name in fields:
            return name, fields[name], parts[length:]
    raise _cannot(path)


def _expand(account: Account, kind: str, node: JSON, parts: list[str], path: str) -> None:
    name, below, rest = _step(kind, parts, path)
    for item in _nodes(account, kind, node, name, below):
        if rest and isinstance(item, dict):
            _expand(account, below, item, rest, path)


def _nodes(account: Account, kind: str, node: JSON, name: str, below: str) -> list[Any]:
    """Expand the field ``name`` of ``node``; return the objects it contains."""
    if name == "data":
        return list(node["data"])
    if name in PARTS.get(kind, {}):
        return [node[name]]
    if name in EXTRAS.get(kind, {}):
        node[name] = copy.deepcopy(EXTRAS[kind][name](account, node["id"]))
        return []
    if name in LISTS.get(kind, {}):
        return [_put_list(account, kind, node, name)]
    return _put_objects(account, below, node, name)


def _put_list(account: Account, kind: str, node: JSON, name: str) -> JSON:
    if name not in node:
        _, url, objects = LISTS[kind][name]
        listed = page(url.format(node["id"]), objects(account, node["id"]), {})
        node[name] = copy.deepcopy(listed)
    put: JSON = node[name]
    return put


def _put_objects(account: Account, kind: str, node: JSON, name: str) -> list[Any]:
    """Replace ids by their objects and return them; an unknown id stays as it is."""
    *outer, field = name.split(".")
    for part in outer:
        node = node.get(part, {})
    held = node.get(field)
    if isinstance(held, list):
        node[field] = [_object(account, kind, each) for each in held]
        return list(node[field])
    node[field] = _object(account, kind, held)
    return [node[field]]


def _object(account: Account, kind: str, held: Any) -> Any:
    if not isinstance(held, str):
        return held
    return copy.deepcopy(_found(account, kind, held)) or held


def _found(account: Account, kind: str, id: str) -> JSON | None:
    card = account.find("card", id)
    if kind == "payment_method" and card is not None:
        return payment_methods.from_legacy(account, card)
    found = account.find(kind, id)
    return coupons.current(account, found) if kind == "coupon" and found else found


def _cannot(path: str) -> Refusal:
    return bad_parameter(f"This property cannot be expanded ({path}).")
