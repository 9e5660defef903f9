"""Coupons: created, edited and deleted through the model, which calls Stripe."""

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

#: The errors of saving and deleting a coupon whose messages are shown.
ERRORS = (gateway.StripeError, exceptions.StripeError, ValidationError)


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
        """Return all coupons, deleted ones included."""
        return StripeCoupon.objects.all_with_deleted().order_by(*self.ordering)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return ``False`` for a deleted coupon, which Stripe does not have."""
        return _exists(obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return _exists(obj) and super().has_delete_permission(request, obj)

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        message = getattr(request, "aa_stripe_error", "")
        return _with_error(form, message) if message else form

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show an error of saving in the form, which keeps the input."""
        try:
            return super().changeform_view(request, *args, **kwargs)
        except ERRORS as error:
            request.aa_stripe_error = _readable(error)  # type: ignore[attr-defined]
            return super().changeform_view(request, *args, **kwargs)

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().delete_view(request, *args, **kwargs)
        except ERRORS as error:
            return self._back_to_list(request, error)

    def response_action(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Run the action; deleting stops at the first coupon that fails."""
        try:
            return super().response_action(request, *args, **kwargs)
        except ERRORS as error:
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


def _with_error(form: Any, message: str) -> type[StripeCouponForm]:
    class FormWithError(form):  # type: ignore[misc]
        def _post_clean(self) -> None:
            super()._post_clean()
            self.add_error(None, message)

    return FormWithError
