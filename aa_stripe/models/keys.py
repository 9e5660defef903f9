"""Idempotency keys for objects of which a second one does no harm, or whose id is ours.

Stripe stores its response to a key for a day, errors included, and rejects the key with other
parameters. A customer, plan, coupon or tax rate neither moves money nor bills by itself, so the
next key may be used at once. The keys are numbered, and the number is not stored: Stripe repeats
its response to each key that is used up.
https://docs.stripe.com/api/idempotent_requests
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from uuid import uuid4

from aa_stripe import gateway
from aa_stripe.models.claims import numbered_key

T = TypeVar("T")

#: The number of keys that are tried one after the other, before a random one.
MOST_NUMBERED = 5


def create_with_new_key(
    name: object, create: Callable[[str], T], find: Callable[[], T | None] = lambda: None
) -> T:
    """Return ``create(key)`` with the first key for which Stripe has stored no error.

    ``name`` identifies the wish: after a lost response, the same name with the same parameters
    returns the object that was created. ``find()`` looks for the object of an earlier request with
    other parameters, or with an error as its response, before the second key is used.

    Raises the SDK's errors.
    """
    for number in range(MOST_NUMBERED):
        try:
            return create(numbered_key(name, number))
        except gateway.StripeError as error:
            if not gateway.is_used_key(error):
                raise
        found = find() if number == 0 else None
        if found is not None:
            return found
    return create(f"{name}-{uuid4()}")  # Stripe has stored nothing for a random key
