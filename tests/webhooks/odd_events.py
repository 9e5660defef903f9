"""Events in which one field is missing or has a value that Stripe would not send."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass

from aa_stripe.models import StripeCharge, StripeSubscription
from aa_stripe.models.charge.search import UUID_KEY as CHARGE_KEY
from aa_stripe.models.subscription.subscribe import UUID_KEY as SUBSCRIPTION_KEY
from aa_stripe.testing.base.samples import sample
from aa_stripe.testing.webhooks import event
from tests.support.builders import make_charge, make_customer, make_subscription
from tests.support.coupons import make_coupon
from tests.support.payments import intent_of, lose_response
from tests.support.rows import lose
from tests.webhooks.deliveries import nested
from tests.webhooks.payments import lose_id

#: JSON that is not an event, wherever it is: too many levels, or more digits than Python reads.
NEVER_READ = [nested(40), nested(5000), "1" * 5000]

#: The values of a field, as JSON.
VALUES = [
    *("null", "true", "false", "0", "1", "-1", "1.5", "-0.0", "1e30", "1e400", "-1e400", "NaN"),
    *("1" + "0" * 30, "-1" + "0" * 30, str(2**31), str(2**63), "253402300800", "-62135596801"),
    *('""', '" "', '"x"', '"0"', '"None"', '"00000000-0000-0000-0000-000000000000"'),
    *(r'"\u0000"', r'"a\u0000b"', r'"\ud800"', r'"x\udfff"', r'"\ud83d\ude00"', r'"\r\n"'),
    *('"../charges"', '"."', '".."', '"a/b?c#d&e=%00"', '"%s{}"', '"\'"', r'"\\u0000"'),
    *(json.dumps("x" * 300), json.dumps("x" * 70_000), json.dumps("\0" * 20_000)),
    *("[]", "[1]", "[null]", '["x"]', "[{}]", "[[]]", nested(20)),
    *("{}", '{"id": {}}', '{"id": null}', '{"id": "x"}', '{"id": ["x"]}', '{"": 1}'),
    *('{"object": {}}', '{"metadata": 1}', '{"customer": []}', r'{"\u0000": 1}', r'{"\ud800": []}'),
    *NEVER_READ,
]

#: The fields that decide whether the body is an event.
OF_EVENT = [("id",), ("type",), ("object",)]

#: The names of the fields that handlers read.
READ = {
    *("id", "type", "object", "livemode", "created", "data", "previous_attributes"),
    *("customer", "payment_intent", "charge", "status", "subscription", "metadata", "origin"),
    *("parent", "subscription_details", CHARGE_KEY, SUBSCRIPTION_KEY),
}

DISPUTE = {
    "object": "dispute",
    "amount": 1000,
    "balance_transactions": [],
    "currency": "usd",
    "evidence": {"customer_name": None},
    "evidence_details": {"due_by": None, "has_evidence": False},
    "is_charge_refundable": False,
    "livemode": False,
    "metadata": {},
    "reason": "fraudulent",
    "status": "needs_response",
}

PLACEHOLDER = "<odd>"


@dataclass(frozen=True)
class Oddity:
    """One field, and its value as JSON; ``None`` removes the field."""

    path: tuple[str | int, ...]
    value: str | None

    def __str__(self):
        value = "removed" if self.value is None else self.value[:40]
        return f"{'.'.join(map(str, self.path))} {value}"

    @property
    def is_read(self):
        """Return whether a handler may read the field."""
        return READ.issuperset(self.path)

    @property
    def may_be_rejected(self):
        """Return whether the body may be something else than an event."""
        return self.path in OF_EVENT or self.value in NEVER_READ

    def body(self, made):
        """Return a copy of the event with this oddity, as JSON."""
        odd = copy.deepcopy(made)
        *way, name = self.path
        container = odd
        for step in way:
            container = container[step]
        if self.value is None:
            del container[name]
            return json.dumps(odd).encode()
        container[name] = PLACEHOLDER
        return json.dumps(odd).replace(json.dumps(PLACEHOLDER), self.value).encode()


def oddities_of(made):
    """Return every oddity that the event can have, in a fixed order."""
    return [Oddity(path, value) for path in paths_in(made) for value in (None, *VALUES)]


def paths_in(value, path=()):
    """Yield the path of each field at any depth; of a list, only those of its first item."""
    if isinstance(value, dict):
        steps = list(value)
    else:
        steps = [0] if isinstance(value, list) and value else []
    for step in steps:
        yield (*path, step)
        yield from paths_in(value[step], (*path, step))


def sample_of(oddities, number, chance):
    """Return ``number`` oddities, or all; half of them are in fields that handlers read."""
    read = [it for it in oddities if it.is_read]
    others = [it for it in oddities if not it.is_read]
    chosen = chance.sample(read, min(number // 2, len(read)))
    return chosen + chance.sample(others, min(number - len(chosen), len(others)))


# The objects of the events: each is at Stripe, and most have a row.


def unsettled_intent(fake):
    charge = make_charge()
    lose_response(fake, charge)
    return intent_of(fake, charge)


def intent_without_id(fake):
    intent = unsettled_intent(fake)
    lose_id(StripeCharge.objects.get())
    return intent


def intent_without_row(fake):
    intent = unsettled_intent(fake)
    lose(StripeCharge.objects.all())
    return intent


def refunded_charge(fake):
    charge = make_charge()
    charge.charge()
    fake.dashboard_refund(charge.stripe_charge_id, 300)
    return fake.account.get("charge", charge.stripe_charge_id)


def refund(fake):
    refunded_charge(fake)
    return fake.account.all("refund")[0]


def unsettled_charge(fake):
    charge_id = unsettled_intent(fake)["latest_charge"]
    fake.dashboard_refund(charge_id, 300)
    return fake.account.get("charge", charge_id)


def refund_of_unsettled_charge(fake):
    unsettled_charge(fake)
    return fake.account.all("refund")[0]


def dispute(fake):
    charge = refunded_charge(fake)
    ids = {"charge": charge["id"], "payment_intent": charge["payment_intent"]}
    return {"id": "du_1", "created": fake.now, **ids, **DISPUTE}


def customer(fake):
    return fake.account.get("customer", make_customer().stripe_customer_id)


def legacy_card(fake):
    customer_id = make_customer().stripe_customer_id
    return {**sample("card"), "id": "card_1", "customer": customer_id}


def payment_method(fake):
    make_customer()
    return fake.account.all("payment_method")[0]


def subscription(fake):
    row = make_subscription()
    row.create_at_stripe()
    return fake.account.get("subscription", row.stripe_subscription_id)


def subscription_without_id(fake):
    made = subscription(fake)
    StripeSubscription.objects.update(stripe_subscription_id="", customer=None)
    return made


def invoice(fake):
    subscription(fake)
    return fake.account.all("invoice")[0]


def invoice_of_old_version(fake):
    """Return an invoice as before the API version 2025-03-31.basil."""
    made = copy.deepcopy(invoice(fake))
    parent = made.pop("parent")
    return {**made, "subscription": parent["subscription_details"]["subscription"]}


def coupon(fake):
    return fake.account.get("coupon", make_coupon().coupon_id)


def coupon_of_dashboard(fake):
    return fake.dashboard_create_coupon(id="SALE20", percent_off=20, duration="once")


#: The object of each type of event that has a built-in handler. A type may have a remark.
OBJECTS = {
    "charge.dispute.closed": dispute,
    "charge.dispute.created": dispute,
    "charge.dispute.funds_reinstated": dispute,
    "charge.dispute.funds_withdrawn": dispute,
    "charge.dispute.updated": dispute,
    "charge.refund.updated": refund,
    "charge.refunded": refunded_charge,
    "charge.refunded (unsettled)": unsettled_charge,
    "coupon.created": coupon_of_dashboard,
    "coupon.created (stored before)": coupon,
    "coupon.deleted": coupon,
    "coupon.updated": coupon,
    "customer.deleted": customer,
    "customer.source.created": legacy_card,
    "customer.source.deleted": legacy_card,
    "customer.source.expiring": legacy_card,
    "customer.source.updated": legacy_card,
    "customer.subscription.created": subscription_without_id,
    "customer.subscription.deleted": subscription,
    "customer.subscription.paused": subscription,
    "customer.subscription.pending_update_applied": subscription,
    "customer.subscription.pending_update_expired": subscription,
    "customer.subscription.resumed": subscription,
    "customer.subscription.trial_will_end": subscription,
    "customer.subscription.updated": subscription,
    "customer.updated": customer,
    "invoice.marked_uncollectible": invoice,
    "invoice.paid": invoice,
    "invoice.paid (old version)": invoice_of_old_version,
    "invoice.payment_action_required": invoice,
    "invoice.payment_failed": invoice,
    "invoice.voided": invoice,
    "payment_intent.canceled": unsettled_intent,
    "payment_intent.payment_failed": unsettled_intent,
    "payment_intent.processing": unsettled_intent,
    "payment_intent.requires_action": intent_without_id,
    "payment_intent.succeeded": unsettled_intent,
    "payment_intent.succeeded (without a row)": intent_without_row,
    "payment_method.attached": payment_method,
    "payment_method.automatically_updated": payment_method,
    "payment_method.detached": payment_method,
    "payment_method.updated": payment_method,
    "refund.created": refund,
    "refund.failed": refund,
    "refund.updated": refund_of_unsettled_charge,
}

TYPES = sorted({name.split()[0] for name in OBJECTS})


def event_of(name, fake):
    """Return an event that Stripe could send, about a new object."""
    about = copy.deepcopy(OBJECTS[name](fake))
    before = {"customer": about.get("customer"), "metadata": {"a": "b"}, "status": "open"}
    return event(name.split()[0], about, previous_attributes=before, id="evt_odd")
