"""Coupons: created, edited and deleted through the model, so that Stripe hears of it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from aa_stripe import exceptions, gateway
from aa_stripe.admin.base import Admin
from aa_stripe.forms import StripeCouponForm
from aa_stripe.models import StripeCoupon

#: What saving or deleting a coupon raises, and a person can read.
REFUSALS = (gateway.StripeError, exceptions.StripeError, ValidationError)


@admin.register(StripeCoupon)
class StripeCouponAdmin(Admin):
    form = StripeCouponForm
    list_display = (
        "coupon_id",
        "name",
        "amount_off",
        "currency",
        "percent_off",
        "duration",
        "times_redeemed",
        "valid",
        "is_deleted",
        "livemode",
        "created",
    )
    list_filter = ("is_deleted", "valid", "livemode", "duration")
    search_fields = ("coupon_id", "name")
    ordering = ("-id",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[StripeCoupon]:
        """Deleted ones too."""
        return StripeCoupon.objects.all_with_deleted().order_by(*self.ordering)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Stripe changes no deleted coupon."""
        return _exists(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _exists(obj) and super().has_delete_permission(request, obj)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        refusal = getattr(request, "aa_stripe_refusal", "")
        return _refused(form, refusal) if refusal else form

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show Stripe's refusal in the form, with what was typed still there."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except REFUSALS as error:
            request.aa_stripe_refusal = _readable(error)  # type: ignore[attr-defined]
            return super().changeform_view(request, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().delete_view(request, *args, **kwargs)
        except REFUSALS as error:
            return self._back_to_list(request, error)

    def response_action(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Deleting several stops at the first that fails; those before it are deleted."""
        try:
            return super().response_action(request, *args, **kwargs)
        except REFUSALS as error:
            return self._back_to_list(request, error)

    def _back_to_list(self, request: HttpRequest, error: Exception) -> HttpResponseRedirect:
        self.message_user(request, _readable(error), messages.ERROR)
        opts = self.opts
        name = f"{self.admin_site.name}:{opts.app_label}_{opts.model_name}_changelist"
        return HttpResponseRedirect(reverse(name))


def _exists(coupon: StripeCoupon | None) -> bool:
    return coupon is None or not coupon.is_deleted


def _readable(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return " ".join(error.messages)
    if isinstance(error, gateway.StripeError):
        return gateway.displayable_message(error) or str(exceptions.StripeInternalError.details)
    return str(error)


def _refused(form: Any, refusal: str) -> type[StripeCouponForm]:
    class RefusedForm(form):  # type: ignore[misc]
        def _post_clean(self) -> None:
            super()._post_clean()
            self.add_error(None, refusal)

    return RefusedForm
