"""What an invoice comes to: prices, less discounts, with taxes."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from aa_stripe.testing.account import JSON
from aa_stripe.testing.base.currencies import MINIMUM, rounded


@dataclass(frozen=True)
class Totals:
    """Amounts in the smallest unit, as an invoice has them.

    ``discounts`` and ``taxes`` are Stripe's lists of what was taken off, and of what is tax.
    """

    subtotal: int
    discounts: list[JSON]
    taxes: list[JSON]
    total: int

    @property
    def excluding_tax(self) -> int:
        """The total without any tax."""
        return self.total - sum(int(tax["amount"]) for tax in self.taxes)


def reckon(
    subtotal: int, currency: str, discounts: list[tuple[str, JSON]], rates: list[JSON]
) -> Totals:
    """Return what ``subtotal`` comes to with those discounts (id and coupon) and tax rates.

    Unverified: the order, and that each amount is rounded for itself.
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
    """Return what is to be paid now, and the customer's balance afterwards.

    A negative balance is credit. What is too little to be collected is owed for the next time.
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
