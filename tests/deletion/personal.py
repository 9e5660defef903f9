"""Personal data everywhere: in each text of each row, and in each of Stripe's objects."""

from __future__ import annotations

from django.apps import apps
from django.db import models

from aa_stripe.models import (
    StripeCharge,
    StripeCustomer,
    StripeRefund,
    StripeSubscription,
    StripeWebhook,
)

MARK = "PERSONAL"

#: The columns that stay, of each model: ids, states and codes. All other texts and all JSON are
#: personal, also in a column that is added one day.
STAY = {
    StripeCustomer: {"stripe_customer_id", "user_key"},
    StripeCharge: {
        *("currency", "failure_code", "stripe_payment_intent_id", "stripe_charge_id"),
        *("stripe_refund_id", "source_type", "source_key", "signal_due", "claim", "user_key"),
    },
    StripeRefund: {"stripe_refund_id", "status", "claim"},
    StripeSubscription: {
        *("stripe_subscription_id", "status", "pause_collection", "stripe_price_id", "claim"),
        *("latest_invoice_id", "announced_invoice_id", "user_key"),
    },
    StripeWebhook: {"id"},
}

#: The texts in Stripe's objects without which an event is not found, or not applied.
NEEDED = {
    *("id", "object", "type", "customer", "charge", "payment_intent", "latest_charge", "status"),
    *("currency", "subscription", "aa_stripe_charge_uuid", "aa_stripe_subscription_uuid"),
    *("aa_stripe_customer_uuid", "aa_stripe_refund_uuid"),
}


def spoilt(value, key=""):
    """Return JSON with the mark in each text that is not needed, in new keys, and in new lists."""
    if isinstance(value, str):
        return value if key in NEEDED else f"{MARK} of {key}"
    if isinstance(value, list):
        return [*(spoilt(it) for it in value), MARK, [MARK]]
    if isinstance(value, dict):
        inner = {name: spoilt(it, name) for name, it in value.items()}
        return {**inner, "added": MARK, "list": [{"added": MARK}], "part": {"id": {"name": MARK}}}
    return value


def spoil(model):
    """Put the mark into all rows of the model."""
    for row in model.objects.all():
        fields = [it for it in model._meta.concrete_fields if it.name not in STAY[model]]
        values = {it.name: _personal(it, getattr(row, it.attname)) for it in fields}
        texts = {name: it for name, it in values.items() if it is not None}
        model.objects.filter(pk=row.pk).update(**texts)


def _personal(field, value):
    if isinstance(field, models.JSONField):
        return spoilt(value if value else {"empty": True})
    if isinstance(field, (models.CharField, models.TextField)):
        return MARK
    return None


def spoil_everything():
    for model in STAY:
        spoil(model)


def dump():
    """Return all rows of the app as text."""
    found = apps.get_app_config("aa_stripe").get_models()
    return "\n".join(str(row) for it in found for row in it._base_manager.order_by("pk").values())
