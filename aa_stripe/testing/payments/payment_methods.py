"""Cards as Stripe saves them today: made, found, saved for a customer, taken from one."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.refusals import Refusal, invalid
from aa_stripe.testing.base.samples import sample
from aa_stripe.testing.cards.catalog import PAYMENT_METHODS
from aa_stripe.testing.cards.details import CardDetails


def make(account: Account, details: CardDetails, **fields: Any) -> JSON:
    """Return a new payment method."""
    method = account.add("payment_method", **fields)
    method["card"].update(_card_fields(details))
    account.cards[method["id"]] = details.card
    return method


def of(account: Account, customer: str, type: str | None) -> list[JSON]:
    """Return the payment methods of a customer, legacy cards among them, oldest first."""
    methods = [item for item in account.all("payment_method") if item["customer"] == customer]
    methods += [
        from_legacy(account, card) for card in account.all("card") if card["customer"] == customer
    ]
    wanted = [item for item in methods if item["type"] == (type or item["type"])]
    return sorted(wanted, key=lambda item: account.birth(item["id"]))


def resolve(account: Account, id: str, *, param: str | None = "payment_method") -> JSON:
    """Return the payment method that is meant by ``id``.

    ``pm_card_visa`` and its like make a new one; the id of a legacy card gives that card's
    other face.
    """
    if id in PAYMENT_METHODS:
        return make(account, CardDetails(PAYMENT_METHODS[id]))
    card = account.find("card", id)
    if card is not None:
        return from_legacy(account, card)
    return account.get("payment_method", id, param=param)


def attachable(account: Account, id: str, *, param: str | None = "payment_method") -> JSON:
    """Return the payment method, or refuse: somebody's already, used up, or declining."""
    method = resolve(account, id, param=param)
    if method["customer"] is not None:
        # Unverified: whether Stripe minds when it is the same customer.
        raise invalid("The payment method you provided has already been attached to a customer.")
    refuse_if_spent(account, method)
    card = account.cards[method["id"]]
    if card.decline is not None and not card.attaches:
        raise card.decline.refusal()
    return method


def give(account: Account, method: JSON, customer: str) -> JSON:
    """Save a payment method for a customer."""
    before = dict(method)
    method["customer"] = customer
    account.emit("payment_method.attached", method, before=before)
    return method


def take(account: Account, method: JSON) -> None:
    """Take a payment method from its customer, who no longer has it as the default either."""
    settings = account.get("customer", method["customer"])["invoice_settings"]
    if settings["default_payment_method"] == method["id"]:
        settings["default_payment_method"] = None
    method["customer"] = None
    account.spent.add(method["id"])


def refuse_if_spent(account: Account, method: JSON) -> None:
    """Raise a refusal if Stripe would not take this payment method again."""
    if method["id"] in account.spent and method["customer"] is None:
        raise invalid(
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer "
            "attachment, shared with a connected account without Customer attachment, or was "
            "detached from a Customer. It may not be used again. To use a PaymentMethod multiple "
            "times, you must attach it to a Customer first."
        )


def does_not_belong(id: str, customer: str, **details: Any) -> Refusal:
    """A payment method of somebody else."""
    return invalid(
        f"The PaymentMethod {id} does not belong to the Customer you supplied {customer}. Please "
        "use this PaymentMethod with the Customer that it belongs to instead.",
        param="payment_method",
        **details,
    )


def from_legacy(account: Account, card: JSON) -> JSON:
    """Return a legacy card as the payment method that Stripe shows for it."""
    details = CardDetails(account.cards[card["id"]], card["exp_month"], card["exp_year"])
    method = sample("payment_method")
    method["card"].update(_card_fields(details))
    method.update(
        id=card["id"],
        created=account.birth(card["id"])[0],
        customer=card["customer"],
        metadata=card["metadata"],
    )
    return method


def _card_fields(details: CardDetails) -> JSON:
    brand = details.card.brand
    return {
        **details.as_fields(),
        "brand": brand,
        "display_brand": brand,
        "networks": {"available": [brand], "preferred": None},
    }
