"""The totals of an invoice: prices, discounts, taxes and the customer's balance."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from aa_stripe.testing.account import JSON
from aa_stripe.testing.base.currencies import MINIMUM, rounded


@dataclass(frozen=True)
class Totals:
    """The amounts of an invoice, in the smallest unit.

    ``discounts`` and ``taxes`` are lists in the format of Stripe's ``total_discount_amounts`` and
    ``total_taxes``.
    """

    subtotal: int
    discounts: list[JSON]
    taxes: list[JSON]
    total: int

    @property
    def excluding_tax(self) -> int:
        """Return the total without taxes."""
        return self.total - sum(int(tax["amount"]) for tax in self.taxes)


def compute(
    subtotal: int, currency: str, discounts: list[tuple[str, JSON]], rates: list[JSON]
) -> Totals:
    """Apply discounts (id and coupon) and tax rates to ``subtotal``; return the totals.

    Unverified: the order, and that each amount is rounded separately.
    """
    left, taken = subtotal, []
    for discount, coupon in discounts:
        off = min(left, _off(coupon, left, currency))
        if off > 0:
            taken.append({"amount": off, "discount": discount})
            left -= off
    taxes = [_tax(rate, left, currency) for rate in rates]
    on_top = sum(tax["amount"] for tax in taxes if tax["tax_behavior"] == "exclusive")
    return Totals(subtotal, taken, taxes, left + on_top)


def owed(customer: JSON, total: int, currency: str) -> tuple[int, int]:
    """Return the amount due now, and the customer's balance afterwards.

    A negative balance is credit. An amount below the minimum charge is added to the balance.
    """
    due = total + customer["balance"]
    if due >= MINIMUM.get(currency, 1):
        return due, 0
    return 0, due


def _off(coupon: JSON, amount: int, currency: str) -> int:
    if coupon["percent_off"] is None:
        return int(coupon["amount_off"])
    return rounded(amount * _fraction(coupon["percent_off"]), currency)


def _tax(rate: JSON, amount: int, currency: str) -> JSON:
    fraction = _fraction(rate["percentage"])
    taxable = rounded(amount / (1 + fraction), currency) if rate["inclusive"] else amount
    tax = amount - taxable if rate["inclusive"] else rounded(amount * fraction, currency)
    return {
        "amount": tax,
        "tax_behavior": "inclusive" if rate["inclusive"] else "exclusive",
        "tax_rate_details": {"tax_rate": rate["id"]},
        "taxability_reason": "not_available",
        "taxable_amount": taxable,
        "type": "tax_rate_details",
    }


def _fraction(percent: float) -> Decimal:
    return Decimal(str(percent)) / 100
