"""Payment methods: creation, lookup, attaching and detaching."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.refusals import Refusal, invalid
from aa_stripe.testing.base.samples import sample
from aa_stripe.testing.cards.catalog import PAYMENT_METHODS
from aa_stripe.testing.cards.details import CardDetails


def make(account: Account, details: CardDetails, **fields: Any) -> JSON:
    """Create a payment method."""
    method = account.add("payment_method", **fields)
    method["card"].update(_card_fields(details))
    account.cards[method["id"]] = details.card
    return method


def of(account: Account, customer: str, type: str | None) -> list[JSON]:
    """Return the payment methods of a customer, including legacy cards, oldest first."""
    methods = [item for item in account.all("payment_method") if item["customer"] == customer]
    methods += [
        from_legacy(account, card) for card in account.all("card") if card["customer"] == customer
    ]
    wanted = [item for item in methods if item["type"] == (type or item["type"])]
    return sorted(wanted, key=lambda item: account.creation(item["id"]))


def resolve(account: Account, id: str, *, param: str | None = "payment_method") -> JSON:
    """Return the payment method that ``id`` identifies.

    A test id such as ``pm_card_visa`` creates a new one. The id of a legacy card returns that
    card in the form of a payment method.
    """
    if id in PAYMENT_METHODS:
        return make(account, CardDetails(PAYMENT_METHODS[id]))
    card = account.find("card", id)
    if card is not None:
        return from_legacy(account, card)
    return account.get("payment_method", id, param=param)


def attachable(account: Account, id: str, *, param: str | None = "payment_method") -> JSON:
    """Return the payment method; raise a refusal if it cannot be attached.

    It cannot if it has a customer, if it was used or detached before, or if saving its card is
    declined.
    """
    method = resolve(account, id, param=param)
    if method["customer"] is not None:
        # Unverified: Stripe may accept the same customer.
        raise invalid("The payment method you provided has already been attached to a customer.")
    reject_if_spent(account, method)
    card = account.cards[method["id"]]
    if card.decline is not None and not card.attaches:
        raise card.decline.refusal()
    return method


def attach(account: Account, method: JSON, customer: str) -> JSON:
    """Attach a payment method to a customer."""
    before = dict(method)
    method["customer"] = customer
    account.emit("payment_method.attached", method, before=before)
    return method


def detach(account: Account, method: JSON) -> None:
    """Detach a payment method from its customer, and clear it as the customer's default."""
    settings = account.get("customer", method["customer"])["invoice_settings"]
    if settings["default_payment_method"] == method["id"]:
        settings["default_payment_method"] = None
    method["customer"] = None
    account.spent.add(method["id"])


def reject_if_spent(account: Account, method: JSON) -> None:
    """Raise a refusal if the payment method was detached, or used without a customer."""
    if method["id"] in account.spent and method["customer"] is None:
        raise invalid(
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer "
            "attachment, shared with a connected account without Customer attachment, or was "
            "detached from a Customer. It may not be used again. To use a PaymentMethod multiple "
            "times, you must attach it to a Customer first."
        )


def does_not_belong(id: str, customer: str, **details: Any) -> Refusal:
    """Return the refusal for a payment method of another customer."""
    return invalid(
        f"The PaymentMethod {id} does not belong to the Customer you supplied {customer}. Please "
        "use this PaymentMethod with the Customer that it belongs to instead.",
        param="payment_method",
        **details,
    )


def from_legacy(account: Account, card: JSON) -> JSON:
    """Return a legacy card in the form of a payment method, as Stripe does."""
    details = CardDetails(account.cards[card["id"]], card["exp_month"], card["exp_year"])
    method = sample("payment_method")
    method["card"].update(_card_fields(details))
    method.update(
        id=card["id"],
        created=account.creation(card["id"])[0],
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
