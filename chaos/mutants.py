"""Mutants: the app without one of its protections. The judge has to notice each."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from django.db.models import Q

from aa_stripe.jobs import charges
from aa_stripe.models import StripeCharge, claims
from aa_stripe.models.charge import collect, record, settle
from aa_stripe.models.rows import root_model
from aa_stripe.signals import stripe_charge_succeeded

#: The offline Stripe drops the key when the request arrives.
NO_KEY = "no-key"


def without_claims() -> None:
    """Take every row, also one that another process holds; ignore the lease."""
    for module in (claims, charges):
        patch.object(module, "is_free", lambda: Q(pk__gt=0)).start()
    patch.object(claims.Claim, "check", lambda claim: None).start()


def without_terms() -> None:
    """Confirm the terms that were read, whatever the row says by now."""
    renew = claims.Claim.renew

    def careless(
        claim: claims.Claim, values: dict[str, Any], *conditions: Q, **expected: Any
    ) -> bool:
        if isinstance(claim.row, StripeCharge):
            expected = {}
        return renew(claim, values, *conditions, **expected)

    patch.object(claims.Claim, "renew", careless).start()


def with_early_signal() -> None:
    """Send the signal of a success before the row says so."""
    write = record.write_success

    def announce_first(charge: StripeCharge, intent: Any) -> bool:
        if not charge.is_charged:
            stripe_charge_succeeded.send(sender=root_model(charge), instance=charge)
        return write(charge, intent)

    patch.object(record, "_due", lambda *_: "").start()
    for module in (collect, settle):
        patch.object(module, "write_success", announce_first).start()


MUTANTS = {
    NO_KEY: lambda: None,
    "no-claim": without_claims,
    "no-terms": without_terms,
    "early-signal": with_early_signal,
}


def apply(name: str) -> None:
    """Remove the protection from this process; none if the name is empty."""
    if name:
        MUTANTS[name]()
