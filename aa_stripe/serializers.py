"""The input and output of the HTTP endpoints."""

from __future__ import annotations

import copy
import json
import math
import re
from decimal import Decimal
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS
from django.core.exceptions import ValidationError as DjangoValidationError
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.settings import api_settings

from aa_stripe import gateway
from aa_stripe.currencies import decimal_places
from aa_stripe.models import StripeCharge, StripeCoupon, StripeCustomer, StripeWebhook
from aa_stripe.payers import payer_of
from aa_stripe.refusals import refusals_translated
from aa_stripe.utils import is_deeper_than, storable_text

#: The form of Stripe's ids, safe in columns, URLs and headers. They begin with a letter, so the
#: number of a card does not match.
STRIPE_ID = re.compile(r"[A-Za-z][!-~]{0,254}")

#: Stripe's own objects are a few levels deep and a few kilobytes long. MariaDB's JSON allows 32
#: levels.
MAX_DEPTH = 20
MAX_LENGTH = 64 * 1024

#: Names of card data. A front-end must not send it; if it does, it is removed.
CARD_DATA = frozenset({"cvc", "number"})


class StripeJSField(serializers.JSONField):
    """The response that a front-end got from Stripe.js: an object with an ``id``.

    Client secrets and card data are removed. JSON that one of the supported databases cannot
    store is rejected.
    """

    default_error_messages = {
        "no_stripe_js": _("This field must contain JSON data from Stripe JS."),
        "unstorable": _("This field contains characters or numbers that cannot be stored."),
        "too_deep": _("This field is nested too deeply."),
        "too_long": _("This field is too long."),
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        try:
            sent = super().to_internal_value(data)
        except RecursionError:
            self.fail("too_deep")
        if not isinstance(sent, dict) or not is_stripe_id(sent.get("id")):
            self.fail("no_stripe_js")
        self._reject_unstorable(sent)
        kept: dict[str, Any] = _without_card_data(gateway.without_secrets(sent))
        return kept

    def _reject_unstorable(self, sent: dict[str, Any]) -> None:
        if is_deeper_than(sent, MAX_DEPTH):
            self.fail("too_deep")
        values: list[Any] = [sent]
        while values:
            value = values.pop()
            if not _is_storable(value):
                self.fail("unstorable")
            values += _parts(value)
        if len(json.dumps(sent)) > MAX_LENGTH:
            self.fail("too_long")


class StripeCustomerSerializer(serializers.ModelSerializer[StripeCustomer]):
    """Accepts a response from Stripe.js; shows the customer created from it.

    ``save()`` creates it for the payer of the ``request`` in the serializer's context;
    ``save(user=...)`` for that user. It raises ``ValidationError`` with ``stripe_error`` if Stripe
    refuses the card, and the other errors of ``StripeCustomer.get_or_create_at_stripe``.
    """

    stripe_js_response = StripeJSField()

    class Meta:
        model = StripeCustomer
        fields = [
            "id",
            "user",
            "stripe_customer_id",
            "is_active",
            "sources",
            "default_source",
            "default_source_data",
            "stripe_js_response",
        ]
        read_only_fields = fields[:-1]

    def create(self, validated_data: dict[str, Any]) -> StripeCustomer:
        user = validated_data.get("user") or payer_of(self.context["request"])
        # Other fields of a subclass are not the customer's.
        response = validated_data["stripe_js_response"]
        with refusals_translated():
            return StripeCustomer.get_or_create_at_stripe(user, response, is_trusted=False)


class StripeCustomerDetailsSerializer(StripeCustomerSerializer):
    """Shows a customer; accepts a new card from Stripe.js, which becomes the default.

    ``save()`` raises ``ValidationError`` with ``stripe_error`` if Stripe refuses the card, and the
    other errors of ``StripeCustomer.add_new_source``.
    """

    stripe_js_response = StripeJSField(write_only=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "stripe_js_response" not in attrs:  # it is required in a PATCH, too
            required = self.fields["stripe_js_response"].error_messages["required"]
            raise serializers.ValidationError({"stripe_js_response": [required]}, "required")
        return attrs

    def update(self, instance: StripeCustomer, validated_data: dict[str, Any]) -> StripeCustomer:
        response = validated_data["stripe_js_response"]
        with refusals_translated():
            instance.add_new_source(response["id"], response, is_trusted=False)
        return instance


class StripeCouponSerializer(serializers.ModelSerializer[StripeCoupon]):
    """Shows a coupon; a project's own view may also create and change coupons with it.

    Validates with ``StripeCoupon.clean()``; ``save()`` raises the errors of
    ``StripeCoupon.save()``. ``amount_off`` is shown as text with the decimals of its currency
    ("10.00"), ``percent_off`` as a number.
    """

    class Meta:
        model = StripeCoupon
        fields = [
            "coupon_id",
            "amount_off",
            "currency",
            "duration",
            "duration_in_months",
            "livemode",
            "max_redemptions",
            "metadata",
            "percent_off",
            "redeem_by",
            "times_redeemed",
            "valid",
            "is_created_at_stripe",
            "created",
            "updated",
            "is_deleted",
        ]
        extra_kwargs = {"coupon_id": {"trim_whitespace": False}}
        read_only_fields = [
            "livemode",
            "times_redeemed",
            "valid",
            "is_created_at_stripe",
            "created",
            "updated",
            "is_deleted",
        ]

    def to_representation(self, instance: StripeCoupon) -> dict[str, Any]:
        data = super().to_representation(instance)
        data["amount_off"] = _amount(instance)
        data["percent_off"] = _number(instance.percent_off)
        return data

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        coupon = copy.copy(self.instance) if self.instance else StripeCoupon()
        for name, value in attrs.items():
            setattr(coupon, name, value)
        try:
            coupon.clean()
        except DjangoValidationError as error:
            errors = error.message_dict
            if NON_FIELD_ERRORS in errors:
                errors[api_settings.NON_FIELD_ERRORS_KEY] = errors.pop(NON_FIELD_ERRORS)
            raise serializers.ValidationError(errors) from error
        return attrs


class StripeChargeSerializer(serializers.ModelSerializer[StripeCharge]):
    """Shows a charge to its payer, without ``comment`` and Stripe's responses."""

    state = serializers.SerializerMethodField()

    class Meta:
        model = StripeCharge
        fields = [
            "uuid",
            "state",
            "amount",
            "currency",
            "amount_refunded",
            "description",
            "is_charged",
            "is_refunded",
            "charge_attempt_failed",
            "failure_code",
            "created",
        ]
        read_only_fields = fields

    def get_state(self, charge: StripeCharge) -> str:
        return state_of(charge)


class StripeWebhookSerializer(serializers.ModelSerializer[StripeWebhook]):
    """Shows a stored event."""

    class Meta:
        model = StripeWebhook
        fields = ["id", "raw_data"]
        read_only_fields = fields


def state_of(charge: StripeCharge) -> str:
    """Return ``charged``, ``requires_action`` (of the payer), ``failed`` or ``pending``."""
    if charge.is_charged:
        return "charged"
    if not charge.charge_attempt_failed:
        return "pending"
    is_waiting = charge.failure_code == "authentication_required"
    return "requires_action" if is_waiting and charge.stripe_payment_intent_id else "failed"


def is_stripe_id(value: object) -> bool:
    """Return whether ``value`` has the form of Stripe's ids."""
    return isinstance(value, str) and STRIPE_ID.fullmatch(value) is not None


def _amount(coupon: StripeCoupon) -> str | None:
    if coupon.amount_off is None:
        return None
    places = decimal_places(coupon.currency or "")
    return f"{coupon.amount_off:.{places}f}"


def _number(value: Decimal | None) -> int | float | None:
    """Return a whole number as an integer: 0.14 showed every percentage as one."""
    if value is None:
        return None
    return int(value) if value == int(value) else float(value)


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list) else []


def _is_storable(value: Any) -> bool:
    if isinstance(value, str):
        return storable_text(value) == value
    if not isinstance(value, (int, float)):
        return True
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond any float
        return False


def _without_card_data(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_card_data(it) for k, it in value.items() if k not in CARD_DATA}
    return [_without_card_data(it) for it in value] if isinstance(value, list) else value
