"""The judge compares each row with Stripe."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from django.db.models import Q

from aa_stripe.models import StripeCharge, StripeRefund, StripeWebhook
from aa_stripe.models.charge.attempt import NEEDS_AUTHENTICATION
from aa_stripe.models.charge.refunds import UUID_KEY as REFUND_KEY
from aa_stripe.models.charge.refunds import VOID
from aa_stripe.models.charge.search import UUID_KEY as CHARGE_KEY
from aa_stripe.testing import FakeStripe
from chaos.models import OutdatedTerms, Success
from chaos.stripe import sender_of

JSON = dict[str, Any]

#: The number of rows whose history is printed; it takes its time.
HISTORIES = 20


def is_undecided() -> Q:
    """Return the condition that something is open that time or a bank has to decide.

    A customer who did not authenticate may still do so. A process that was killed when it retried a
    failed row, before it confirmed anything, leaves its claim there, which says nothing.
    """
    has_failed = Q(charge_attempt_failed=True)
    is_concluded = has_failed & (Q(is_unsettled=False) | Q(failure_code=NEEDS_AUTHENTICATION))
    return (
        (Q(is_charged=False) & ~is_concluded)
        | Q(signal_due__gt="")
        | Q(refunds__status=StripeRefund.STATUS_UNKNOWN)
    )


def undecided() -> int:
    """Return the number of charges and events that are not concluded."""
    charges = StripeCharge.objects.filter(is_undecided()).distinct().count()
    return charges + StripeWebhook.objects.filter(is_parsed=False).count()


class Judge:
    """The state at Stripe in the end, by row."""

    def __init__(self, fake: FakeStripe, old_code: bool) -> None:
        """``old_code``: an older version charged rows as well, which leaves their claims there."""
        self._fake = fake
        self._old_code = old_code
        self._printed = 0
        account = fake.account
        with account.held():
            self._intents = _by(account.all("payment_intent"), CHARGE_KEY)
            self._orders = _by(account.all("refund"), REFUND_KEY)
            self._refunds: dict[str, list[JSON]] = defaultdict(list)
            for refund in account.all("refund"):
                self._refunds[refund["charge"]].append(refund)

    def violations(self) -> Iterator[str]:
        """Yield what is wrong, with the history of the row."""
        successes: Counter[int] = Counter(Success.objects.values_list("charge_id", flat=True))
        open_rows = set(StripeCharge.objects.filter(is_undecided()).values_list("pk", flat=True))
        outdated = dict(OutdatedTerms.objects.values_list("charge_id", "stored"))
        for row in StripeCharge.objects.prefetch_related("refunds"):
            wrong = [*self._payment(row), *self._refunded(row)]
            if successes[row.pk] != row.is_charged:
                wrong.append(f"success was announced {successes[row.pk]} times")
            if row.pk in open_rows:
                wrong.append("it is undecided")
            if row.is_charged and row.claim and not self._old_code:
                wrong.append("it is charged and still claimed")
            if row.pk in outdated:
                wrong.append(f"outdated terms were confirmed; the row said {outdated[row.pk]}")
            if wrong:
                self._printed += 1
                history = self._history(row) if self._printed <= HISTORIES else ""
                yield f"Charge {row.pk}: {'; '.join(wrong)}\n{history}"
        for event in StripeWebhook.objects.filter(~Q(parse_error="") | Q(is_parsed=False)):
            yield f"Event {event}: not applied. {event.parse_error}"

    def _payment(self, row: StripeCharge) -> Iterator[str]:
        if self._old_code and _is_forgotten(row):
            return
        paid = [it for it in self._intents[str(row.uuid)] if it["status"] == "succeeded"]
        if len(paid) > 1:
            yield f"it was paid {len(paid)} times"
        if row.is_charged != bool(paid):
            yield f"is_charged is {row.is_charged}, but Stripe has {len(paid)} payments"
        elif paid:
            collected = (paid[0]["amount_received"], paid[0]["currency"], paid[0]["latest_charge"])
            if collected != (row.amount, row.currency, row.stripe_charge_id):
                yield f"Stripe has collected {collected}"

    def _refunded(self, row: StripeCharge) -> Iterator[str]:
        orders = {str(it.uuid): it for it in row.refunds.all()}
        made = self._refunds[row.stripe_charge_id] if row.is_charged else []
        total = sum(it["amount"] for it in made if it["status"] not in VOID)
        if total != row.amount_refunded or total > (row.amount or 0):
            yield f"amount_refunded is {row.amount_refunded}, but Stripe has refunded {total}"
        for uuid, order in orders.items():
            statuses = [it["status"] for it in self._orders[uuid]]
            expected = [] if order.status == StripeRefund.STATUS_REFUSED else [order.status]
            if statuses != expected:
                yield f"refund {uuid} is {order.status}, but at Stripe {statuses}"
        ours = [it["metadata"].get(REFUND_KEY) for it in made]
        if any(uuid is not None and uuid not in orders for uuid in ours):
            yield "a refund has no order"

    def _history(self, row: StripeCharge) -> str:
        ids = {str(row.uuid), *(str(it.uuid) for it in row.refunds.all())}
        ids |= {it["id"] for it in self._intents[str(row.uuid)]}
        ids |= {it["latest_charge"] for it in self._intents[str(row.uuid)]} - {None}
        state = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
        state.pop("stripe_response")
        lines = [f"  row: {state}"]
        lines += [f"  order: {_order(it)}" for it in row.refunds.all()]
        for request in self._fake.requests:
            known = f"{request.path} {request.params} {request.idempotency_key}"
            if any(id in known for id in ids):
                lines.append(
                    f"  {sender_of(request)} {request.method} {request.path} {request.params} "
                    f"key={request.idempotency_key} status={request.status} "
                    f"fault={request.fault and request.fault.value} replayed={request.replayed}"
                )
        lines += [
            f"  intent: {it['id']} {it['status']} {it['amount']} {it['currency']} {it['metadata']}"
            for it in self._intents[str(row.uuid)]
        ]
        return "\n".join(lines)


def _is_forgotten(row: StripeCharge) -> bool:
    """Return whether the older version has recorded that the payment lacks authentication.

    It does not look at that payment again, and the event that reports it paid may be lost.
    """
    return row.failure_code == NEEDS_AUTHENTICATION and not row.is_unsettled


def _order(order: StripeRefund) -> str:
    return (
        f"{order.uuid} {order.amount} {order.status} key {order.key_number} sent {order.sent_at} "
        f"attempts {order.attempts} {str(order.stripe_response)[:200]}"
    )


def _by(objects: list[JSON], key: str) -> dict[str, list[JSON]]:
    found: dict[str, list[JSON]] = defaultdict(list)
    for each in objects:
        found[each["metadata"].get(key, "")].append(each)
    return found
