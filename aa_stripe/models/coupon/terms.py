"""What a coupon says, in Stripe's words and in ours.

Amounts are in the currency's smallest unit at Stripe and in major units here, times are seconds
there and datetimes here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils import timezone

from aa_stripe import gateway
from aa_stripe.money import to_major_units, to_minor_units
from aa_stripe.utils import timestamp_to_timezone_aware_date

if TYPE_CHECKING:
    from aa_stripe.models.coupon.model import StripeCoupon

#: What Stripe makes a coupon of, and never changes. ``currency`` belongs to ``amount_off``.
FIXED = ("amount_off", "percent_off", "duration", "duration_in_months", "max_redemptions")

#: Decimals of ``percent_off`` that are kept.
PERCENT_STEP = Decimal("0.0001")


def identity_of(coupon_id: str, created: datetime, livemode: bool) -> str:
    """A name for the coupon that no other has, whatever the database takes for the same text.

    Stripe gives an id away again after the coupon was deleted, hence the creation time.
    """
    text = f"{'live' if livemode else 'test'} {to_timestamp(created)} {coupon_id}"
    return hashlib.sha256(text.encode()).hexdigest()


def to_timestamp(moment: datetime) -> int:
    """``moment`` in seconds, as Stripe counts time."""
    aware = timezone.make_aware(moment) if timezone.is_naive(moment) else moment
    return int(aware.timestamp())


def to_datetime(seconds: float) -> datetime:
    """The moment as the project's databases take it: aware, unless ``USE_TZ`` is off."""
    aware = timestamp_to_timezone_aware_date(seconds)
    return aware if settings.USE_TZ else timezone.make_naive(aware)


def wanted(coupon: StripeCoupon) -> gateway.CouponCreateParams:
    """What Stripe is to create. The coupon has to be in order, see ``coupon_rules``."""
    params: gateway.CouponCreateParams = {"duration": coupon.duration}
    if coupon.coupon_id:
        params["id"] = coupon.coupon_id
    if coupon.amount_off is not None and coupon.currency:
        params["amount_off"] = to_minor_units(coupon.amount_off, coupon.currency)
        params["currency"] = coupon.currency
    if coupon.percent_off is not None:
        params["percent_off"] = float(coupon.percent_off)
    if coupon.duration_in_months is not None:
        params["duration_in_months"] = coupon.duration_in_months
    if coupon.max_redemptions is not None:
        params["max_redemptions"] = coupon.max_redemptions
    if coupon.redeem_by is not None:
        params["redeem_by"] = to_timestamp(coupon.redeem_by)
    if coupon.name:
        params["name"] = coupon.name
    if metadata := as_texts(coupon.metadata):
        params["metadata"] = metadata
    return params


def is_as_wanted(coupon: gateway.Coupon, params: gateway.CouponCreateParams) -> bool:
    """Whether Stripe's coupon is, in every respect, what ``params`` would have created."""
    there: dict[str, Any] = gateway.to_json(coupon)
    asked: dict[str, Any] = dict(params)
    names = [*FIXED, "redeem_by"] + (["currency"] if "amount_off" in asked else [])
    return (
        all(_comparable(there.get(name)) == _comparable(asked.get(name)) for name in names)
        and (there.get("name") or "") == asked.get("name", "")
        and (there.get("metadata") or {}) == asked.get("metadata", {})
    )


def metadata_changes(ours: Mapping[str, Any], theirs: Mapping[str, str]) -> dict[str, str]:
    """What to send so that ``theirs`` becomes ``ours``: Stripe drops what is set to ``""``."""
    texts = as_texts(ours)
    changes = {name: text for name, text in texts.items() if theirs.get(name) != text}
    return changes | {name: "" for name in theirs if name not in texts}


def as_texts(metadata: Mapping[str, Any]) -> dict[str, str]:
    """``metadata`` as Stripe will have it: texts only, and none of them empty."""
    texts = {name: _as_text(value) for name, value in metadata.items() if value is not None}
    return {name: text for name, text in texts.items() if text}


def fields_of(told: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Our values of the fields ``names`` that Stripe has ``told`` of.

    Raises ``StripeMoneyError`` for an amount in a currency that we cannot count.
    """
    values = {name: told[name] for name in names if name in told}
    for name in ("created", "redeem_by"):
        if values.get(name) is not None:
            values[name] = to_datetime(values[name])
    if values.get("amount_off") is not None:
        values["amount_off"] = to_major_units(values["amount_off"], str(told.get("currency")))
    if values.get("percent_off") is not None:
        values["percent_off"] = Decimal(str(values["percent_off"])).quantize(PERCENT_STEP)
    for name, empty in (("name", ""), ("metadata", {})):
        if name in values and values[name] is None:
            values[name] = empty
    return values


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _comparable(value: Any) -> Any:
    """Numbers in one form: Stripe's decimals come as a text or as a float."""
    try:
        return value if value is None else Decimal(str(value))
    except InvalidOperation:  # a word
        return value
