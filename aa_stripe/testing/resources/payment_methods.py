"""``/v1/payment_methods``: cards as Stripe saves them today."""

from __future__ import annotations

from typing import Any

from aa_stripe.testing.account import JSON, Account
from aa_stripe.testing.base.metadata import merge
from aa_stripe.testing.base.paging import page
from aa_stripe.testing.base.refusals import Refusal, bad_parameter, invalid, missing_parameter
from aa_stripe.testing.base.samples import sample
from aa_stripe.testing.cards.catalog import PAYMENT_METHODS
from aa_stripe.testing.cards.details import CardDetails
from aa_stripe.testing.resources import tokens


def create(account: Account, params: dict[str, Any]) -> JSON:
    """Make a payment method of ``card[token]`` or ``card[number]``; nobody owns it yet."""
    if "type" not in params:
        raise missing_parameter("type")
    if params["type"] != "card":
        raise bad_parameter("FakeStripe knows no payment methods but cards.", param="type")
    metadata = merge({}, params.get("metadata"))
    card = params.get("card", {})
    if "token" in card:
        details = tokens.spend(account, card["token"], param="card[token]")
    elif "number" in card:
        details = CardDetails.from_params(card)
    else:
        raise missing_parameter("card")
    return make(
        account,
        details,
        billing_details=_billing_details(params),
        metadata=metadata,
    )


def make(account: Account, details: CardDetails, **fields: Any) -> JSON:
    """Return a new payment method."""
    method = account.add("payment_method", **fields)
    method["card"].update(_card_fields(details))
    account.cards[method["id"]] = details.card
    return method


def retrieve(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Return one payment method; a legacy card can be read as one."""
    return resolve(account, id, param=None)


def update(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Change metadata, billing details or the date of expiry."""
    method = account.get("payment_method", id)
    before = dict(method)
    method["metadata"] = merge(method["metadata"], params.get("metadata"))
    method["billing_details"] = {**method["billing_details"], **params.get("billing_details", {})}
    method["card"] = {**method["card"], **params.get("card", {})}
    account.emit("payment_method.updated", method, before=before)
    return method


def attach(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Save a payment method for a customer; a card that declines is refused here already."""
    if "customer" not in params:
        raise missing_parameter("customer")
    customer = account.get("customer", params["customer"], param="customer")
    method = attachable(account, id, param=None)
    return give(account, method, customer["id"])


def detach(account: Account, params: dict[str, Any], id: str) -> JSON:
    """Take a payment method from its customer, for good."""
    method = account.get("payment_method", id)
    if method["customer"] is None:
        raise invalid(
            "The payment method you provided is not attached to a customer so detachment is "
            "impossible."
        )
    before = dict(method)
    take(account, method)
    account.emit("payment_method.detached", method, before=before)
    return method


def list_all(account: Account, params: dict[str, Any]) -> JSON:
    """List a customer's payment methods; without a customer there are none to list."""
    if "customer" not in params:
        return page("/v1/payment_methods", [], params)
    customer = account.get("customer", params["customer"], param="customer")
    return page("/v1/payment_methods", _of(account, customer["id"], params), params)


def list_of_customer(account: Account, params: dict[str, Any], customer: str) -> JSON:
    """List the payment methods of the customer in the path."""
    account.get("customer", customer)
    url = f"/v1/customers/{customer}/payment_methods"
    return page(url, _of(account, customer, params), params)


def retrieve_of_customer(account: Account, params: dict[str, Any], customer: str, id: str) -> JSON:
    """Return one payment method, if it is this customer's."""
    account.get("customer", customer)
    method = resolve(account, id, param=None)
    if method["customer"] != customer:
        raise does_not_belong(id, customer)
    return method


def _of(account: Account, customer: str, params: dict[str, Any]) -> list[JSON]:
    methods = [item for item in account.all("payment_method") if item["customer"] == customer]
    methods += [
        from_legacy(account, card) for card in account.all("card") if card["customer"] == customer
    ]
    wanted = [item for item in methods if item["type"] == params.get("type", item["type"])]
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


def _billing_details(params: dict[str, Any]) -> JSON:
    return {**sample("payment_method")["billing_details"], **params.get("billing_details", {})}
