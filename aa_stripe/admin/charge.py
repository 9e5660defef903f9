"""Charges and their refunds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.http import HttpRequest

from aa_stripe.admin.base import ReadOnlyAdmin, money, user_search_fields
from aa_stripe.models import StripeCharge, StripeRefund

if TYPE_CHECKING:
    Inline = admin.TabularInline[Any, Any]
else:
    Inline = admin.TabularInline


class RefundInline(Inline):
    model = StripeRefund
    fields = readonly_fields = ("uuid", "amount", "status", "stripe_refund_id", "created")
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(StripeCharge)
class StripeChargeAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "user",
        "customer",
        "money",
        "refunded",
        "is_charged",
        "charge_attempt_failed",
        "failure_code",
        "stripe_charge_id",
        "created",
    )
    list_filter = ("is_charged", "charge_attempt_failed", "is_refunded", "is_manual_charge")
    list_select_related = ("user", "customer")
    inlines = (RefundInline,)
    search_fields = (
        "stripe_charge_id",
        "stripe_payment_intent_id",
        "stripe_refund_id",
        "customer__stripe_customer_id",
        "refunds__stripe_refund_id",
        "description",
        *user_search_fields(),
    )
    ordering = ("-id",)

    @admin.display(ordering="customer__stripe_customer_id")
    def stripe_customer_id(self, charge: StripeCharge) -> str | None:
        """Return the customer's id at Stripe: a column of 0.14, for ``list_display``."""
        return charge.customer.stripe_customer_id if charge.customer else None

    @admin.display(description="amount", ordering="amount")
    def money(self, charge: StripeCharge) -> str:
        return money(charge.amount, charge.currency)

    @admin.display(description="refunded", ordering="amount_refunded")
    def refunded(self, charge: StripeCharge) -> str:
        return money(charge.amount_refunded, charge.currency) if charge.amount_refunded else "-"


@admin.register(StripeRefund)
class StripeRefundAdmin(ReadOnlyAdmin):
    list_display = ("id", "charge", "money", "status", "stripe_refund_id", "created")
    list_filter = ("status",)
    list_select_related = ("charge",)
    search_fields = ("stripe_refund_id", "charge__stripe_charge_id")
    ordering = ("-id",)

    @admin.display(description="amount", ordering="amount")
    def money(self, refund: StripeRefund) -> str:
        return money(refund.amount, _currency_of(refund))


def _currency_of(refund: StripeRefund) -> str:
    """Return the currency; Stripe's if the charge is deleted."""
    if refund.charge is not None:
        return str(refund.charge.currency)
    return str(refund.stripe_response.get("currency") or "")
