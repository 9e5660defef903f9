"""The claim of an event: which process applies it, and the writes that require the claim.

Each claim counts an attempt, and that number is the token of the claim. A process whose claim has
ended may go on, and commits if no other process has claimed the event meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.db import Error, connections
from django.db.models import Q
from django.utils import timezone

from aa_stripe.exceptions import StripeInProgress, StripeWebhookInProgress
from aa_stripe.models.claims import PATIENCE, delay, is_free, patiently
from aa_stripe.models.latest import reread_latest
from aa_stripe.models.now import DatabaseNow
from aa_stripe.models.rows import (
    close_if_lost,
    database_of,
    key_of,
    lockable,
    own_row,
    root_model,
    set_as_stored,
    update_plain,
    write_if,
)
from aa_stripe.models.statements import NOT_NULL
from aa_stripe.settings import stripe_settings

if TYPE_CHECKING:
    from aa_stripe.models.webhook.model import StripeWebhook

logger = logging.getLogger("aa-stripe")

#: How long ``give_up`` waits for the lock of a row, in seconds.
GIVE_UP_PATIENCE = 2.0

#: The fields that change when an event is applied.
STATE = ["is_parsed", "parse_error", "attempts", "retry_at", "is_wrong_mode", "claimed_until"]


class ClaimLost(Exception):
    """Another process has applied the event, or has claimed it after the claim had ended."""


def delay_after(attempts: int) -> datetime:
    """Return when to retry an event after that number of attempts."""
    return timezone.now() + delay(attempts - 1)


def claim(webhook: StripeWebhook, *, even_if_parsed: bool = False) -> int | None:
    """Commit the claim and the count of an attempt before it begins; return the claim's token.

    So an event that kills the process is delayed like others that fail. Returns ``None`` if the
    event is applied, or another process has claimed it or has counted an attempt since it was read;
    its state is then read again.
    """
    token = webhook.attempts + 1
    values = {"attempts": token, "retry_at": delay_after(token)}
    claimed = {**values, "claimed_until": DatabaseNow(lease())}
    if _claim_as_read(webhook, claimed, even_if_parsed):
        set_as_stored(webhook, values)
        return token
    reread_latest(webhook, STATE)
    return None


def claim_patiently(webhook: StripeWebhook) -> int | None:
    """Claim the event as ``claim`` does, after another process that is applying it.

    Returns ``None`` if the event is applied. Raises ``StripeWebhookInProgress`` if the other
    process is not done after ten seconds.
    """
    token = None
    try:
        for _try in patiently(PATIENCE):
            token = claim(webhook)
            if token is not None or webhook.is_parsed:
                break
    except StripeInProgress as error:
        raise StripeWebhookInProgress from error
    return token


def lease() -> timedelta:
    """Return how long a claim lasts."""
    return timedelta(seconds=stripe_settings.WEBHOOK_HANDLER_TIMEOUT)


def _claim_as_read(webhook: StripeWebhook, values: dict[str, Any], even_if_parsed: bool) -> bool:
    as_read = {"attempts": webhook.attempts, "is_parsed": False}
    if write_if(webhook, {**as_read, "claimed_until": None}, values):  # as nearly always
        return True
    is_unapplied = Q(is_parsed=False)
    if even_if_parsed:
        is_unapplied |= ~Q(parse_error="")
    return write_if(webhook, {"attempts": webhook.attempts}, values, is_unapplied, is_free())


def hold(webhook: StripeWebhook, token: int) -> None:
    """Begin the transaction with a write where a read followed by a write may fail: on SQLite.

    Raises ``ClaimLost`` if another process has claimed the event since.
    """
    if connections[database_of(webhook)].features.has_select_for_update:
        return
    if not write_if(webhook, {"attempts": token}, {"attempts": token}):
        raise ClaimLost


def mark(webhook: StripeWebhook, token: int, parse_error: str) -> None:
    """Mark the event as applied. Raises ``ClaimLost`` if another process has claimed it since."""
    if not _write(webhook, token, applied(parse_error)):
        raise ClaimLost


def mark_unclaimed(model: type[StripeWebhook], id: str, attempts: int) -> bool:
    """Mark an event as applied if no process has applied, claimed or tried it since it was read.

    Returns whether it did. ``attempts`` is the number as it was read; this is one more.
    """
    unclaimed = {"id": id, "attempts": attempts, "is_parsed": False, "claimed_until": None}
    values = {**applied(""), "attempts": attempts + 1, "updated": timezone.now()}
    return update_plain(model, database_of(model), unclaimed, values)


def _write(webhook: StripeWebhook, token: int, values: dict[str, Any]) -> bool:
    """Write the values if the claim was not ended; its time may be over."""
    claimed = {**key_of(webhook), "attempts": token, "claimed_until": NOT_NULL}
    values = {**values, "updated": timezone.now()}
    return update_plain(root_model(webhook), database_of(webhook), claimed, values)


def applied(parse_error: str) -> dict[str, Any]:
    """Return the values of an event that was applied."""
    return {
        "is_parsed": True,
        "is_wrong_mode": False,
        "parse_error": parse_error,
        "retry_at": None,
        "claimed_until": None,
    }


def give_up(webhook: StripeWebhook, token: int, values: dict[str, Any]) -> None:
    """Write the values and end the claim of an event that another thread works on.

    That thread cannot commit any more. Raises ``StripeInProgress`` if the row stays locked for
    ``GIVE_UP_PATIENCE`` seconds; the claim then ends by itself.
    """
    close_if_lost(database_of(webhook))
    for _try in patiently(GIVE_UP_PATIENCE):
        with suppress(Error), _locked_at_once(webhook):
            end_claim(webhook, token, values)
            return


@contextmanager
def _locked_at_once(webhook: StripeWebhook) -> Iterator[None]:
    """Lock the row, if the database can. Raises a database error if it is locked already."""
    using = database_of(webhook)
    with lockable(using):
        if connections[using].features.has_select_for_update_nowait:
            own_row(webhook, using).select_for_update(nowait=True).values_list("pk").first()
        yield


def end_claim(webhook: StripeWebhook, token: int, values: dict[str, Any]) -> None:
    """Write the values and end the claim.

    Nothing is written if the event is applied: the error may be that of a lost response to the
    commit. Nor if another process has claimed the event since.
    """
    ended = {**values, "claimed_until": None}
    try:
        is_written = _write(webhook, token, ended)
    except Error:  # a database error, which may also have caused the failure
        logger.exception("The failure of event %s could not be recorded.", webhook)
        return
    if is_written:
        set_as_stored(webhook, ended)
