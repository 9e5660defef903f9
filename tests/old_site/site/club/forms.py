from django import forms

from aa_stripe.forms import StripeCouponForm


class VoucherForm(StripeCouponForm):
    """Vouchers have codes that can be read aloud."""

    class Meta(StripeCouponForm.Meta):
        help_texts = {"coupon_id": "Capital letters, digits and hyphens"}

    def clean_coupon_id(self):
        code = super().clean_coupon_id()
        if code and code != code.upper():
            raise forms.ValidationError("Please use capital letters")
        return code
