"""A coupon's terms, converted between our fields and Stripe's parameters.

Amounts are in the currency's smallest unit at Stripe and in major units here. Times are seconds
there and datetimes here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from aa_stripe import gateway
from aa_stripe.fields import trimmed
from aa_stripe.money import to_major_units, to_minor_units
from aa_stripe.utils import to_datetime, to_timestamp

if TYPE_CHECKING:
    from aa_stripe.models.coupon.model import StripeCoupon

#: Terms that cannot be changed at Stripe. ``currency`` belongs to ``amount_off``.
FIXED = ("amount_off", "percent_off", "duration", "duration_in_months", "max_redemptions")

#: Decimals of ``percent_off`` that are kept.
PERCENT_STEP = Decimal("0.0001")

#: The fields that are never ``None``, with the type of their empty value.
EMPTY: Mapping[str, type] = {"coupon_id": str, "name": str, "metadata": dict}


def create_params(coupon: StripeCoupon) -> gateway.CouponCreateParams:
    """Return the parameters that create ``coupon`` at Stripe; it must be valid, see ``rules``."""
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
    if coupon.metadata and (metadata := as_texts(coupon.metadata)):
        params["metadata"] = metadata
    return params


def update_params(coupon: StripeCoupon, names: Collection[str]) -> gateway.CouponUpdateParams:
    """Return the parameters that send what was changed since the coupon was read.

    ``names`` limits them to these fields. Stripe merges the keys of the metadata, so those that
    were added in the Dashboard are kept, and removes a key that is set to ``""``.
    """
    params: gateway.CouponUpdateParams = {}
    if "metadata" in names and (changes := _changed_keys(coupon)):
        params["metadata"] = changes
    if "name" in names and "name" in coupon.changed_fields():
        params["name"] = coupon.name
    return params


def _changed_keys(coupon: StripeCoupon) -> dict[str, str]:
    read = coupon.stored_value("metadata")
    before = as_texts(read) if isinstance(read, dict) else {}
    now = as_texts(coupon.metadata)
    changes = {name: text for name, text in now.items() if before.get(name) != text}
    return {**changes, **{name: "" for name in before if name not in now}}


def is_created_by(params: gateway.CouponCreateParams, coupon: gateway.Coupon) -> bool:
    """Return whether Stripe's ``coupon`` equals the coupon that ``params`` would create."""
    known: dict[str, Any] = gateway.to_json(coupon)
    sent: dict[str, Any] = dict(params)
    names = [*FIXED, "redeem_by"] + (["currency"] if "amount_off" in sent else [])
    return (
        all(_comparable(known.get(name)) == _comparable(sent.get(name)) for name in names)
        and (known.get("name") or "") == sent.get("name", "")
        and (known.get("metadata") or {}) == sent.get("metadata", {})
    )


def as_texts(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return ``metadata`` as Stripe stores it: texts only, none of them empty."""
    texts = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in metadata.items()
        if value is not None
    }
    return {name: text for name, text in texts.items() if text}


def fields_of(data: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the values of our fields ``names``, except fields that Stripe's ``data`` lacks.

    Raises ``StripeMoneyError`` for an amount in a currency that is not supported.
    """
    values = {name: data[name] for name in names if name in data}
    for name, value in values.items():
        if value is None:
            values[name] = EMPTY[name]() if name in EMPTY else None
        elif name in ("created", "redeem_by"):
            values[name] = to_datetime(value)
        elif name == "amount_off":
            values[name] = to_major_units(value, str(data.get("currency")))
        elif name == "percent_off":
            values[name] = trimmed(Decimal(str(value)).quantize(PERCENT_STEP), 0)
    return values


def _comparable(value: Any) -> Any:
    """Return a number as a ``Decimal``: Stripe sends decimals as texts or as floats."""
    try:
        return value if value is None else Decimal(str(value))
    except InvalidOperation:  # not a number
        return value
