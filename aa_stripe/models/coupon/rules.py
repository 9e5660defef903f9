"""What Stripe would refuse of a coupon, refused before anything is sent.

One set of rules for ``StripeCoupon.save()``, ``full_clean()``, the form and the serializer. What
a single field can say (lengths, choices, digits) stands with the fields.
https://docs.stripe.com/api/coupons/create
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from aa_stripe.currencies import CURRENCIES
from aa_stripe.money import StripeMoneyError, to_minor_units
from aa_stripe.utils import is_usable_text

if TYPE_CHECKING:
    from aa_stripe.models.coupon.model import StripeCoupon

Complaints = Iterator[tuple[str, "str | Promise"]]
Rule = Callable[["StripeCoupon"], Complaints]

#: How far ahead ``redeem_by`` may be.
YEARS_AHEAD = 5


def check_new(coupon: StripeCoupon) -> None:
    """Raise ``ValidationError`` for a coupon that Stripe would not create."""
    _check(coupon, [*TERMS, *CHANGEABLE])


def check_changes(coupon: StripeCoupon) -> None:
    """Raise ``ValidationError`` for what an existing coupon could not be changed to."""
    _check(coupon, CHANGEABLE)


def _check(coupon: StripeCoupon, rules: list[Rule]) -> None:
    errors = defaultdict(list)
    for rule in rules:
        for field, complaint in rule(coupon):
            errors[field].append(complaint)
    if errors:
        raise ValidationError(dict(errors))


def _is_usable_id(coupon: StripeCoupon) -> Complaints:
    if not is_usable_text(str(coupon.coupon_id)):
        yield "coupon_id", _("The id holds characters that cannot be used.")


def _is_amount_or_percentage(coupon: StripeCoupon) -> Complaints:
    given = [it for it in (coupon.amount_off, coupon.percent_off) if it is not None]
    if len(given) != 1:
        yield (
            NON_FIELD_ERRORS,
            _("A coupon takes off either an amount (amount_off) or a percentage (percent_off)."),
        )


def _is_amount_that_stripe_can_count(coupon: StripeCoupon) -> Complaints:
    amount, currency = _number(coupon.amount_off), coupon.currency
    if coupon.amount_off is None:
        return
    if not currency:
        yield "currency", _("An amount needs its currency.")
        return
    if currency not in CURRENCIES or amount is None:
        return  # told by the field
    if amount <= 0:
        yield "amount_off", _("The amount must be more than 0.")
        return
    try:
        to_minor_units(amount, currency)
    except StripeMoneyError as error:
        yield "amount_off", str(error)


def _is_percentage(coupon: StripeCoupon) -> Complaints:
    percent = _number(coupon.percent_off)
    if percent is not None and not 0 < percent <= 100:
        yield "percent_off", _("The percentage must be more than 0, and 100 at most.")


def _has_months_when_repeating(coupon: StripeCoupon) -> Complaints:
    if coupon.duration != coupon.DURATION_REPEATING:
        if coupon.duration_in_months is not None:
            yield "duration_in_months", _("Only a repeating coupon has a number of months.")
        return
    months = _number(coupon.duration_in_months or 0)
    if months is not None and months < 1:
        yield "duration_in_months", _("A repeating coupon needs a number of months, at least 1.")


def _can_be_redeemed(coupon: StripeCoupon) -> Complaints:
    redemptions = _number(coupon.max_redemptions)
    if redemptions is not None and redemptions < 1:
        yield "max_redemptions", _("A coupon must be redeemable once at least.")


def _is_redeemable_for_now(coupon: StripeCoupon) -> Complaints:
    if not isinstance(coupon.redeem_by, datetime):
        return
    now, last = timezone.localtime(_aware(timezone.now())), _aware(coupon.redeem_by)
    if last <= now:
        yield "redeem_by", _("This moment is past.")
    elif last > _years_after(now, YEARS_AHEAD):
        yield "redeem_by", _("This is more than five years ahead.")


def _has_usable_metadata(coupon: StripeCoupon) -> Complaints:
    if not isinstance(coupon.metadata, dict):
        yield "metadata", _("Metadata is an object: names, each with a text.")
        return
    for name, value in coupon.metadata.items():
        if isinstance(value, (dict, list)):
            yield "metadata", _("Stripe's metadata holds texts only, nothing nested.")
            return
        if not is_usable_text(f"{name}{value}"):
            yield "metadata", _("Metadata holds characters that cannot be used.")
            return


def _has_usable_name(coupon: StripeCoupon) -> Complaints:
    if not is_usable_text(str(coupon.name)):
        yield "name", _("The name holds characters that cannot be used.")


#: What a coupon is, once and for all.
TERMS: list[Rule] = [
    _is_usable_id,
    _is_amount_or_percentage,
    _is_amount_that_stripe_can_count,
    _is_percentage,
    _has_months_when_repeating,
    _can_be_redeemed,
    _is_redeemable_for_now,
]

#: What can be changed later.
CHANGEABLE: list[Rule] = [_has_usable_metadata, _has_usable_name]


def _number(value: Any) -> Decimal | int | None:
    """``value`` if it can be compared; what is no number, the field tells."""
    is_number = isinstance(value, int) or (isinstance(value, Decimal) and value.is_finite())
    return value if is_number else None


def _aware(moment: datetime) -> datetime:
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment


def _years_after(moment: datetime, years: int) -> datetime:
    try:
        return moment.replace(year=moment.year + years)
    except ValueError:  # February 29th
        return moment.replace(year=moment.year + years, month=3, day=1)
