"""Rules for coupons, checked before anything is sent to Stripe.

One set of rules for ``StripeCoupon.save()``, ``full_clean()``, the form and the serializer. The
fields themselves check what concerns one field only (lengths, choices, digits).
https://docs.stripe.com/api/coupons/create
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from aa_stripe.currencies import CURRENCIES
from aa_stripe.money import StripeMoneyError, to_minor_units
from aa_stripe.utils import is_usable_text, to_timestamp

if TYPE_CHECKING:
    from aa_stripe.models.coupon.model import StripeCoupon

#: Pairs: the name of a field, and a message.
Errors = Iterator[tuple[str, "str | Promise"]]
Numbers = dict[str, "Decimal | int"]

#: The fields that are compared with limits.
NUMBERS = ("amount_off", "percent_off", "duration_in_months", "max_redemptions")

#: How far ahead ``redeem_by`` may be.
YEARS_AHEAD = 5


def check(coupon: StripeCoupon) -> None:
    """Raise ``ValidationError`` for a coupon that Stripe would not create, or not change."""
    errors = defaultdict(list)
    for field, message in _text_errors(coupon):
        errors[field].append(message)
    if not coupon.is_created_at_stripe:
        # Only values that can be compared: the fields reject all others.
        values = {name: getattr(coupon, name) for name in NUMBERS}
        numbers: Numbers = {
            name: value
            for name, value in values.items()
            if isinstance(value, int) or (isinstance(value, Decimal) and value.is_finite())
        }
        for field, message in _term_errors(coupon, numbers):
            errors[field].append(message)
    if errors:
        raise ValidationError(dict(errors))


def _text_errors(coupon: StripeCoupon) -> Errors:
    """Check the fields that can be changed at Stripe, and the id of a new coupon."""
    if not coupon.is_created_at_stripe and not is_usable_text(str(coupon.coupon_id)):
        yield "coupon_id", _("The id contains characters that are not allowed.")
    if not is_usable_text(str(coupon.name)):
        yield "name", _("The name contains characters that are not allowed.")
    if not isinstance(coupon.metadata, dict):
        yield "metadata", _("Metadata must be an object of names and texts.")
    elif any(isinstance(value, (dict, list)) for value in coupon.metadata.values()):
        yield "metadata", _("Metadata must not be nested.")
    elif not is_usable_text("".join(f"{name}{value}" for name, value in coupon.metadata.items())):
        yield "metadata", _("Metadata contains characters that are not allowed.")


def _term_errors(coupon: StripeCoupon, numbers: Numbers) -> Errors:
    """Check the fields that cannot be changed at Stripe."""
    if (coupon.amount_off is None) == (coupon.percent_off is None):
        yield NON_FIELD_ERRORS, _("Coupon must specify amount_off or percent_off")
    if "percent_off" in numbers and not 0 < numbers["percent_off"] <= 100:
        yield "percent_off", _("The percentage must be greater than 0 and at most 100.")
    if numbers.get("max_redemptions", 1) < 1:
        yield "max_redemptions", _("The number of redemptions must be at least 1.")
    months = coupon.duration_in_months
    if coupon.duration != coupon.DURATION_REPEATING:
        if months is not None:
            yield "duration_in_months", _("Cannot be set when duration is not set to repeating")
    elif not months or numbers.get("duration_in_months", 1) < 1:
        yield "duration_in_months", _("Cannot be empty with when duration is set to repeating")
    if coupon.amount_off is not None:
        yield from _amount_errors(coupon, numbers)
    if isinstance(coupon.redeem_by, datetime):
        yield from _date_errors(coupon.redeem_by)


def _amount_errors(coupon: StripeCoupon, numbers: Numbers) -> Errors:
    if not coupon.currency:
        yield "currency", _("Currency is required when amount_off is set")
    elif "amount_off" not in numbers or coupon.currency not in CURRENCIES:
        return  # the fields reject it
    elif numbers["amount_off"] <= 0:
        yield "amount_off", _("The amount must be greater than 0.")
    else:
        try:
            to_minor_units(numbers["amount_off"], coupon.currency)
        except StripeMoneyError as error:
            yield "amount_off", str(error)


def _date_errors(redeem_by: datetime) -> Errors:
    now, last = datetime.now(timezone.get_current_timezone()), to_timestamp(redeem_by)
    if last <= now.timestamp():
        yield "redeem_by", _("The date must not be in the past.")
    elif last > _years_after(now, YEARS_AHEAD).timestamp():
        yield "redeem_by", _("The date must be within the next five years.")


def _years_after(moment: datetime, years: int) -> datetime:
    try:
        return moment.replace(year=moment.year + years)
    except ValueError:  # February 29th
        return moment.replace(year=moment.year + years, month=3, day=1)
