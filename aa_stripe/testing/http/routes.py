"""All endpoints."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import unquote_plus

from aa_stripe.testing.account import JSON
from aa_stripe.testing.base.ids import PREFIXES
from aa_stripe.testing.base.refusals import Refusal, invalid
from aa_stripe.testing.resources import (
    balance_transactions,
    charges,
    coupons,
    customers,
    events,
    invoice_payments,
    invoices,
    payment_intents,
    payment_methods,
    plans,
    prices,
    products,
    refunds,
    setup_intents,
    sources,
    subscriptions,
    tax_rates,
    tokens,
)

KINDS = {**{f"{kind}s": kind for kind in PREFIXES}, "sources": "card"}
"""For each plural in a path: the kind of object."""


@dataclass(frozen=True)
class Route:
    """An endpoint (``POST /v1/customers/*``), its handler, and its parameters.

    ``params`` is the name of a class of ``stripe.params``. The handler's arguments are the
    account, the parameters, and one id for each ``*``. ``publishable``: whether a browser may call
    it, with a publishable key and (for an intent) the client secret.
    """

    endpoint: str
    handler: Callable[..., JSON]
    params: str
    publishable: bool = False

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(re.escape(self.endpoint).replace(r"\*", "([^/]+)").replace(r"\ ", " "))

    @property
    def kind(self) -> str:
        """The kind of object in the response: ``charge`` or ``list of charge``."""
        method, _, path = self.endpoint.partition(" ")
        parts = path.split("/")[2:]
        kind = [KINDS[part] for part in parts if part in KINDS][-1]
        return f"list of {kind}" if method == "GET" and parts[-1] in KINDS else kind

    def ids(self, method: str, path: str) -> tuple[str, ...] | None:
        """Return the id for each ``*``, or ``None`` if the path does not match."""
        match = self._pattern.fullmatch(f"{method} {path}")
        return tuple(map(unquote_plus, match.groups())) if match else None


ROUTES = (
    Route(
        "GET /v1/balance_transactions/*",
        balance_transactions.retrieve,
        "BalanceTransactionRetrieveParams",
    ),
    Route("GET /v1/charges", charges.list_all, "ChargeListParams"),
    Route("POST /v1/charges", charges.create, "ChargeCreateParams"),
    Route("GET /v1/charges/*", charges.retrieve, "ChargeRetrieveParams"),
    Route("POST /v1/charges/*", charges.update, "ChargeUpdateParams"),
    Route("GET /v1/charges/*/refunds", refunds.list_of_charge, "ChargeListRefundsParams"),
    Route("GET /v1/charges/*/refunds/*", refunds.retrieve_of_charge, "ChargeRetrieveRefundParams"),
    Route("GET /v1/coupons", coupons.list_all, "CouponListParams"),
    Route("POST /v1/coupons", coupons.create, "CouponCreateParams"),
    Route("GET /v1/coupons/*", coupons.retrieve, "CouponRetrieveParams"),
    Route("POST /v1/coupons/*", coupons.update, "CouponUpdateParams"),
    Route("DELETE /v1/coupons/*", coupons.delete, "CouponDeleteParams"),
    Route("GET /v1/customers", customers.list_all, "CustomerListParams"),
    Route("POST /v1/customers", customers.create, "CustomerCreateParams"),
    Route("GET /v1/customers/search", customers.search, "CustomerSearchParams"),
    Route("GET /v1/customers/*", customers.retrieve, "CustomerRetrieveParams"),
    Route("POST /v1/customers/*", customers.update, "CustomerUpdateParams"),
    Route("DELETE /v1/customers/*", customers.delete, "CustomerDeleteParams"),
    Route(
        "GET /v1/customers/*/payment_methods",
        payment_methods.list_of_customer,
        "CustomerListPaymentMethodsParams",
    ),
    Route(
        "GET /v1/customers/*/payment_methods/*",
        payment_methods.retrieve_of_customer,
        "CustomerRetrievePaymentMethodParams",
    ),
    Route("GET /v1/customers/*/sources", sources.list_all, "CustomerListSourcesParams"),
    Route("POST /v1/customers/*/sources", sources.create, "CustomerCreateSourceParams"),
    Route("GET /v1/customers/*/sources/*", sources.retrieve, "CustomerRetrieveSourceParams"),
    Route("POST /v1/customers/*/sources/*", sources.update, "CustomerModifySourceParams"),
    Route("DELETE /v1/customers/*/sources/*", sources.delete, "CustomerDeleteSourceParams"),
    Route("GET /v1/events", events.list_all, "EventListParams"),
    Route("GET /v1/events/*", events.retrieve, "EventRetrieveParams"),
    Route("GET /v1/invoice_payments", invoice_payments.list_all, "InvoicePaymentListParams"),
    Route("GET /v1/invoice_payments/*", invoice_payments.retrieve, "InvoicePaymentRetrieveParams"),
    Route("GET /v1/invoices", invoices.list_all, "InvoiceListParams"),
    Route("GET /v1/invoices/*", invoices.retrieve, "InvoiceRetrieveParams"),
    Route("POST /v1/invoices/*/pay", invoices.pay, "InvoicePayParams"),
    Route("POST /v1/invoices/*/void", invoices.void, "InvoiceVoidInvoiceParams"),
    Route("GET /v1/payment_intents", payment_intents.list_all, "PaymentIntentListParams"),
    Route("POST /v1/payment_intents", payment_intents.create, "PaymentIntentCreateParams"),
    Route(
        "GET /v1/payment_intents/search",
        payment_intents.search,
        "PaymentIntentSearchParams",
    ),
    Route(
        "GET /v1/payment_intents/*", payment_intents.retrieve, "PaymentIntentRetrieveParams", True
    ),
    Route("POST /v1/payment_intents/*", payment_intents.update, "PaymentIntentUpdateParams"),
    Route("POST /v1/payment_intents/*/cancel", payment_intents.cancel, "PaymentIntentCancelParams"),
    Route(
        "POST /v1/payment_intents/*/capture", payment_intents.capture, "PaymentIntentCaptureParams"
    ),
    Route(
        "POST /v1/payment_intents/*/confirm",
        payment_intents.confirm,
        "PaymentIntentConfirmParams",
        True,
    ),
    Route("GET /v1/payment_methods", payment_methods.list_all, "PaymentMethodListParams"),
    Route("POST /v1/payment_methods", payment_methods.create, "PaymentMethodCreateParams", True),
    Route("GET /v1/payment_methods/*", payment_methods.retrieve, "PaymentMethodRetrieveParams"),
    Route("POST /v1/payment_methods/*", payment_methods.update, "PaymentMethodUpdateParams"),
    Route("POST /v1/payment_methods/*/attach", payment_methods.attach, "PaymentMethodAttachParams"),
    Route("POST /v1/payment_methods/*/detach", payment_methods.detach, "PaymentMethodDetachParams"),
    Route("GET /v1/plans", plans.list_all, "PlanListParams"),
    Route("POST /v1/plans", plans.create, "PlanCreateParams"),
    Route("GET /v1/plans/*", plans.retrieve, "PlanRetrieveParams"),
    Route("POST /v1/plans/*", plans.update, "PlanUpdateParams"),
    Route("DELETE /v1/plans/*", plans.delete, "PlanDeleteParams"),
    Route("GET /v1/prices", prices.list_all, "PriceListParams"),
    Route("POST /v1/prices", prices.create, "PriceCreateParams"),
    Route("GET /v1/prices/*", prices.retrieve, "PriceRetrieveParams"),
    Route("POST /v1/prices/*", prices.update, "PriceUpdateParams"),
    Route("GET /v1/products", products.list_all, "ProductListParams"),
    Route("POST /v1/products", products.create, "ProductCreateParams"),
    Route("GET /v1/products/*", products.retrieve, "ProductRetrieveParams"),
    Route("POST /v1/products/*", products.update, "ProductUpdateParams"),
    Route("DELETE /v1/products/*", products.delete, "ProductDeleteParams"),
    Route("GET /v1/refunds", refunds.list_all, "RefundListParams"),
    Route("POST /v1/refunds", refunds.create, "RefundCreateParams"),
    Route("GET /v1/refunds/*", refunds.retrieve, "RefundRetrieveParams"),
    Route("POST /v1/refunds/*", refunds.update, "RefundUpdateParams"),
    Route("POST /v1/refunds/*/cancel", refunds.cancel, "RefundCancelParams"),
    Route("GET /v1/setup_intents", setup_intents.list_all, "SetupIntentListParams"),
    Route("POST /v1/setup_intents", setup_intents.create, "SetupIntentCreateParams"),
    Route("GET /v1/setup_intents/*", setup_intents.retrieve, "SetupIntentRetrieveParams", True),
    Route("POST /v1/setup_intents/*", setup_intents.update, "SetupIntentUpdateParams"),
    Route("POST /v1/setup_intents/*/cancel", setup_intents.cancel, "SetupIntentCancelParams"),
    Route(
        "POST /v1/setup_intents/*/confirm", setup_intents.confirm, "SetupIntentConfirmParams", True
    ),
    Route("GET /v1/subscriptions", subscriptions.list_all, "SubscriptionListParams"),
    Route("POST /v1/subscriptions", subscriptions.create, "SubscriptionCreateParams"),
    Route("GET /v1/subscriptions/search", subscriptions.search, "SubscriptionSearchParams"),
    Route("GET /v1/subscriptions/*", subscriptions.retrieve, "SubscriptionRetrieveParams"),
    Route("POST /v1/subscriptions/*", subscriptions.update, "SubscriptionUpdateParams"),
    Route("DELETE /v1/subscriptions/*", subscriptions.cancel, "SubscriptionCancelParams"),
    Route(
        "DELETE /v1/subscriptions/*/discount",
        subscriptions.delete_discount,
        "SubscriptionDeleteDiscountParams",
    ),
    Route("POST /v1/subscriptions/*/resume", subscriptions.resume, "SubscriptionResumeParams"),
    Route("GET /v1/tax_rates", tax_rates.list_all, "TaxRateListParams"),
    Route("POST /v1/tax_rates", tax_rates.create, "TaxRateCreateParams"),
    Route("GET /v1/tax_rates/*", tax_rates.retrieve, "TaxRateRetrieveParams"),
    Route("POST /v1/tax_rates/*", tax_rates.update, "TaxRateUpdateParams"),
    Route("POST /v1/tokens", tokens.create, "TokenCreateParams", True),
    Route("GET /v1/tokens/*", tokens.retrieve, "TokenRetrieveParams"),
)


def find(method: str, path: str) -> tuple[Route, tuple[str, ...]]:
    """Return the route and the ids in the path; raise ``Refusal`` if there is no route."""
    for route in ROUTES:
        ids = route.ids(method, path)
        if ids is not None:
            return route, ids
    raise _unrecognized(method, path)


def endpoints() -> set[str]:
    """Return the names of all endpoints, in the format of ``fail_next()``."""
    return {route.endpoint for route in ROUTES}


def _unrecognized(method: str, path: str) -> Refusal:
    return invalid(
        f"Unrecognized request URL ({method}: {path}). FakeStripe does not implement this "
        "URL, or Stripe has no such URL.",
        status=404,
        kept=False,
    )
