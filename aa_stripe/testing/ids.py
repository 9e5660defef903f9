"""Ids as Stripe makes them: a prefix that tells the kind, then noise."""

from __future__ import annotations

import secrets
import string

PREFIXES = {
    "balance_transaction": "txn_",
    "card": "card_",
    "charge": "ch_",
    "customer": "cus_",
    "event": "evt_",
    "payment_intent": "pi_",
    "payment_method": "pm_",
    "refund": "re_",
    "request": "req_",
    "setup_intent": "seti_",
    "token": "tok_",
}
LENGTHS = {"customer": 14, "request": 14}
DEFAULT_LENGTH = 24


def new_id(kind: str) -> str:
    """Return an id for a new object of that ``kind``; it never came before."""
    return PREFIXES[kind] + noise(LENGTHS.get(kind, DEFAULT_LENGTH))


def noise(length: int) -> str:
    """Return ``length`` random letters and digits."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))
