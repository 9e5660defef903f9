"""``/v1/events``: events of the last thirty days."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.paging import page
from aa_stripe.testing.base.refusals import bad_parameter, no_such

LIFETIME = 30 * 24 * 60 * 60
"""Seconds for which an event can be read."""

MAX_TYPES = 20


def retrieve(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Return one event."""
    event = account.get("event", id)
    if not _is_readable(account, event):
        raise no_such("event", id)
    return event


def list_all(account: Account, params: dict[str, Any]) -> JSON:
    """List events, by ``type`` (may be a pattern such as ``charge.*``) or up to 20 ``types``."""
    types = params.get("types", [])
    if types and "type" in params:
        raise bad_parameter("You may only specify one of these parameters: type, types.")
    if len(types) > MAX_TYPES:
        raise bad_parameter(f"You may specify up to {MAX_TYPES} types.", param="types")
    wanted = types or [params.get("type", "*")]
    found = [
        event
        for event in account.all("event")
        if _is_readable(account, event) and any(fnmatchcase(event["type"], type) for type in wanted)
    ]
    return page("/v1/events", found, params)


def _is_readable(account: Account, event: JSON) -> bool:
    return bool(account.now - event["created"] < LIFETIME)
