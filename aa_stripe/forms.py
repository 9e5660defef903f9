"""Forms, for the admin and for a project's own pages."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from aa_stripe import gateway
from aa_stripe.models import StripeCoupon


class StripeCouponForm(forms.ModelForm):  # type: ignore[type-arg] # not generic at run time
    """Form that creates a coupon, or changes ``metadata`` and ``name`` of an existing one.

    Validates with ``StripeCoupon.clean()``; ``save()`` raises the errors of
    ``StripeCoupon.save()``.
    """

    class Meta:
        model = StripeCoupon
        fields = [
            "coupon_id",
            "name",
            "amount_off",
            "currency",
            "percent_off",
            "duration",
            "duration_in_months",
            "max_redemptions",
            "redeem_by",
            "metadata",
        ]

    #: The fields of an existing coupon that Stripe allows changing.
    CHANGEABLE = frozenset({"name", "metadata"})

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "coupon_id" in self.fields:
            # At Stripe, an id with a space at the end is a different id.
            self.fields["coupon_id"].strip = False  # type: ignore[attr-defined]
        if self.instance.is_created_at_stripe:
            for name in self.fields.keys() - self.CHANGEABLE:
                self.fields[name].disabled = True

    def clean_coupon_id(self) -> str:
        coupon_id: str = self.cleaned_data["coupon_id"]
        if not self.instance.is_created_at_stripe and _is_taken(coupon_id):
            raise forms.ValidationError(_("Coupon with this id already exists"))
        return coupon_id

    def clean_metadata(self) -> Any:
        metadata = self.cleaned_data["metadata"]
        return {} if metadata is None else metadata


def _is_taken(coupon_id: str) -> bool:
    live = StripeCoupon.objects.filter(coupon_id=coupon_id, livemode=gateway.is_live())
    return bool(coupon_id) and live.exists()
