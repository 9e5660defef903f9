"""The claim of an event: which process applies it, and the writes that require the claim.

Each claim counts an attempt, so ``attempts`` is its token. A process whose claim has ended may go
on, and commits if no other process has claimed the event meanwhile.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import Error
from django.db.models import Q, QuerySet
from django.utils import timezone

from aa_stripe.exceptions import StripeInProgress, StripeWebhookInProgress
from aa_stripe.models.claims import PATIENCE, delay, is_free, patiently
from aa_stripe.models.now import DatabaseNow
from aa_stripe.models.rows import database_of, set_as_stored, update_one, write_if
from aa_stripe.settings import stripe_settings

if TYPE_CHECKING:
    from aa_stripe.models.webhook.model import StripeWebhook

logger = logging.getLogger("aa-stripe")

#: The fields that change when an event is applied.
STATE = ["is_parsed", "parse_error", "attempts", "retry_at", "is_wrong_mode", "claimed_until"]


class ClaimLost(Exception):
    """Another process has applied the event, or has claimed it after the claim had ended."""


def delay_after(attempts: int) -> datetime:
    """Return when to retry an event after that number of attempts."""
    return timezone.now() + delay(attempts - 1)


def claim(webhook: StripeWebhook, *, even_if_parsed: bool = False) -> bool:
    """Commit the claim and the count of an attempt before it begins; return whether it succeeded.

    So an event that kills the process is delayed like others that fail. The event is not claimed if
    it is applied, or another process has claimed it or has counted an attempt since it was read;
    its state is then read again.
    """
    values = claimed(webhook.attempts + 1)
    if _claim_as_read(webhook, values, even_if_parsed):
        set_as_stored(webhook, values)
        return True
    webhook.refresh_from_db(using=database_of(webhook), fields=STATE)
    return False


def claim_patiently(webhook: StripeWebhook) -> bool:
    """Claim the event as ``claim`` does, after another process that is applying it.

    Returns ``False`` if the event is applied. Raises ``StripeWebhookInProgress`` if the other
    process is not done after ten seconds.
    """
    try:
        for _try in patiently(PATIENCE):
            if claim(webhook):
                return True
            if webhook.is_parsed:
                return False
    except StripeInProgress as error:
        raise StripeWebhookInProgress from error
    return False  # pragma: no cover (never reached)


def claimed(attempts: int) -> dict[str, Any]:
    """Return the values of an event that is being applied for that number of attempts."""
    lease = timedelta(seconds=stripe_settings.WEBHOOK_HANDLER_TIMEOUT)
    return {
        "attempts": attempts,
        "retry_at": delay_after(attempts),
        "claimed_until": DatabaseNow(lease),
    }


def _claim_as_read(webhook: StripeWebhook, values: dict[str, Any], even_if_parsed: bool) -> bool:
    as_read = {"attempts": webhook.attempts, "is_parsed": False}
    if write_if(webhook, {**as_read, "claimed_until": None}, values):  # as nearly always
        return True
    rows = _unapplied_row(webhook, even_if_parsed).filter(attempts=webhook.attempts)
    return update_one(rows.filter(is_free()), values)


def mark(webhook: StripeWebhook, parse_error: str, even_if_parsed: bool) -> None:
    """Mark the event as applied. Raises ``ClaimLost`` if another process has claimed it since."""
    values = {**applied(parse_error), "updated": timezone.now()}
    if even_if_parsed:
        rows = _unapplied_row(webhook, even_if_parsed).filter(attempts=webhook.attempts)
        is_marked = update_one(rows, values)
    else:
        is_marked = write_if(webhook, {"attempts": webhook.attempts, "is_parsed": False}, values)
    if not is_marked:
        raise ClaimLost


def applied(parse_error: str) -> dict[str, Any]:
    """Return the values of an event that was applied."""
    return {
        "is_parsed": True,
        "is_wrong_mode": False,
        "parse_error": parse_error,
        "retry_at": None,
        "claimed_until": None,
    }


def end_claim(webhook: StripeWebhook, values: dict[str, Any]) -> None:
    """Write the values and end the claim, if no other process has claimed the event since."""
    ended = {**values, "claimed_until": None, "updated": timezone.now()}
    try:
        is_written = write_if(webhook, {"attempts": webhook.attempts}, ended)
    except Error:  # a database error, which may also have caused the failure
        logger.exception("The failure of event %s could not be recorded.", webhook)
        return
    if is_written:
        set_as_stored(webhook, ended)


def _unapplied_row(webhook: StripeWebhook, even_if_parsed: bool) -> QuerySet[StripeWebhook]:
    """Return the event's row if it may be applied, else no row."""
    is_unapplied = Q(is_parsed=False)
    if even_if_parsed:
        is_unapplied |= ~Q(parse_error="")
    return _row(webhook).filter(is_unapplied)


def _row(webhook: StripeWebhook) -> QuerySet[StripeWebhook]:
    return type(webhook)._base_manager.using(database_of(webhook)).filter(pk=webhook.pk)
