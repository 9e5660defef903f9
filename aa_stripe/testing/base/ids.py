"""Ids in Stripe's format: a prefix for the kind of object, then random characters."""

from __future__ import annotations

import secrets
import string

PREFIXES = {
    "balance_transaction": "txn_",
    "card": "card_",
    "charge": "ch_",
    "coupon": "",
    "customer": "cus_",
    "discount": "di_",
    "event": "evt_",
    "invoice": "in_",
    "invoice_payment": "inpay_",
    "line_item": "il_",
    "payment_intent": "pi_",
    "payment_method": "pm_",
    "plan": "price_",
    "price": "price_",
    "product": "prod_",
    "refund": "re_",
    "request": "req_",
    "setup_intent": "seti_",
    "subscription": "sub_",
    "subscription_item": "si_",
    "tax_rate": "txr_",
    "token": "tok_",
}
LENGTHS = {"coupon": 8, "customer": 14, "product": 14, "request": 14, "subscription_item": 14}
DEFAULT_LENGTH = 24


def new_id(kind: str) -> str:
    """Return a new random id for an object of that ``kind``."""
    return PREFIXES[kind] + random_text(LENGTHS.get(kind, DEFAULT_LENGTH))


def random_text(length: int) -> str:
    """Return ``length`` random letters and digits."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))
