"""What a process notices while it works: signals that arrive, and terms that are confirmed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from random import Random
from typing import Any
from unittest.mock import patch

from django.db import transaction

from aa_stripe.models import StripeCharge
from aa_stripe.models.claims import Claim
from aa_stripe.models.rows import database_of, own_row
from aa_stripe.signals import stripe_charge_succeeded
from chaos.models import OutdatedTerms, Success

#: How often a receiver kills its process, or raises.
DEADLY, FAILING = 0.1, 0.05


def peace() -> None:
    """Let a receiver succeed."""


def fate_of(chance: Random) -> Callable[[], None]:
    """Return a function that lets a receiver kill its process, raise, or succeed."""

    def meet_fate() -> None:
        fate = chance.random()
        if fate < DEADLY:
            os.kill(os.getpid(), signal.SIGKILL)
        elif fate < DEADLY + FAILING:
            raise RuntimeError("The receiver failed, by chance.")

    return meet_fate


def listen(meet_fate: Callable[[], None]) -> None:
    """Write down each success in the transaction of its signal."""

    def note(instance: StripeCharge, **_: Any) -> None:
        Success.objects.create(charge_id=instance.pk)
        meet_fate()

    stripe_charge_succeeded.connect(note, weak=False)


def watch_terms() -> None:
    """Compare the terms that are about to be confirmed with the row, which the UPDATE has locked.

    The terms that a row had before the last edit must never be charged.
    """
    renew = Claim.renew

    def compared(claim: Claim, values: dict[str, Any], *conditions: Any, **expected: Any) -> bool:
        row: Any = claim.row
        if not isinstance(row, StripeCharge):
            return renew(claim, values, *conditions, **expected)
        using = database_of(row)
        with transaction.atomic(using=using):
            if not renew(claim, values, *conditions, **expected):
                return False
            stored = own_row(row, using).values_list("amount", "currency", "user_id").get()
            read = (row.amount, row.currency, row.user_id)
            if stored != read:
                OutdatedTerms.objects.create(charge_id=row.pk, stored=stored, confirmed=read)
        return True

    patch.object(Claim, "renew", compared).start()
