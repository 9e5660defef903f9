"""Stripe's rule for e-mail addresses."""

from __future__ import annotations

import re
from typing import Any

from aa_stripe.testing.base.refusals import bad_parameter

# Unverified: the whole rule. Known is that Stripe rejects spaces, characters outside ASCII, and a
# domain without a dot. https://docs.stripe.com/error-codes#email-invalid
_EMAIL = re.compile(r"[!-?A-~]+@[!-?A-~]+\.[!-?A-~]+")


def check_email(params: dict[str, Any], name: str) -> None:
    """Raise ``Refusal`` if the parameter ``name`` is given and is no e-mail address."""
    email = params.get(name)
    if email and not _EMAIL.fullmatch(email):
        raise bad_parameter(f"Invalid email address: {email}", param=name, code="email_invalid")
