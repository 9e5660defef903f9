"""Applying an event exactly once, even if a process crashes in between.

One transaction marks the event's row and holds all writes of the handlers. The mark comes first:
one statement locks the row and fails if another process has marked it, on every database.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from django.db import Error, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from aa_stripe.exceptions import (
    StripeMethodNotAllowed,
    StripeWebhookAlreadyParsed,
    StripeWebhookParseError,
)
from aa_stripe.models.claims import delay
from aa_stripe.models.rows import database_of, retry_on_conflict, root_model, set_as_stored
from aa_stripe.signals import webhook_pre_parse
from aa_stripe.utils import storable_text
from aa_stripe.webhooks import Handler, registry

if TYPE_CHECKING:
    from aa_stripe.models.webhook.model import StripeWebhook

logger = logging.getLogger("aa-stripe")


class SwallowedDatabaseError(RuntimeError):
    """A database error that a handler caught: its transaction cannot be committed any more."""


def apply_event(
    webhook: StripeWebhook,
    *,
    is_counted: bool = False,
    ignore_claim: bool = False,
    even_if_parsed: bool = False,
) -> bool:
    """Apply the event in one transaction; return whether this call applied it.

    ``False`` means that another process has applied the event, or has claimed it since the row
    was read.

    ``is_counted``: the row's INSERT has counted this attempt. Otherwise the attempt is counted
    first, which claims the event. ``ignore_claim``: apply the event even if another process has
    claimed it. ``even_if_parsed``: also apply an event that a handler rejected.

    Raises ``StripeMethodNotAllowed`` for an event of the other mode (live or test) than the API
    key. Any exception of a receiver or a handler but ``StripeWebhookParseError`` rolls back all
    writes and is raised; ``parse_error`` has its message, ``retry_at`` the time of the retry.
    """
    reject_wrong_mode(webhook)
    if not is_counted:
        is_claimed = count_attempt(
            webhook, ignore_claim=ignore_claim, even_if_parsed=even_if_parsed
        )
        if not is_claimed and not ignore_claim:
            return False
    return _attempt(webhook, even_if_parsed)


def reject_wrong_mode(webhook: StripeWebhook) -> None:
    """Raise ``StripeMethodNotAllowed`` if the event is of another mode than the API key."""
    if webhook.is_of_wrong_mode():
        raise StripeMethodNotAllowed(
            _("The event is from live mode, but STRIPE_API_KEY is not a live key.")
            if webhook.raw_data["livemode"]
            else _("The event is from test mode, but STRIPE_API_KEY is not a test key.")
        )


def delay_after(attempts: int) -> datetime:
    """Return when to retry an event after that number of attempts."""
    return timezone.now() + delay(attempts - 1)


def count_attempt(
    webhook: StripeWebhook, *, ignore_claim: bool = False, even_if_parsed: bool = False
) -> bool:
    """Commit the count of an attempt before the attempt begins; return whether it was counted.

    So an event that kills the process is delayed like others that fail. Counting also claims the
    event: without ``ignore_claim``, nothing is counted if another process has counted since the
    row was read.
    """
    rows = _unapplied_row(webhook, even_if_parsed)
    if not ignore_claim:
        rows = rows.filter(attempts=webhook.attempts)
    retry_at = delay_after(webhook.attempts + 1)
    count = partial(rows.update, attempts=F("attempts") + 1, retry_at=retry_at)
    is_counted = retry_on_conflict(database_of(webhook), count) == 1
    if is_counted:
        set_as_stored(webhook, {"attempts": webhook.attempts + 1, "retry_at": retry_at})
    return is_counted


def _attempt(webhook: StripeWebhook, even_if_parsed: bool) -> bool:
    was_parsed = webhook.is_parsed
    set_as_stored(webhook, {"is_parsed": False})  # receivers check it
    try:
        parse_error = retry_on_conflict(
            database_of(webhook), partial(_apply, webhook, even_if_parsed)
        )
    except StripeWebhookAlreadyParsed:
        set_as_stored(webhook, {"is_parsed": True})
        logger.info("Event %s was already applied by another process.", webhook)
        return False
    except Exception as error:
        set_as_stored(webhook, {"is_parsed": was_parsed})
        _record_failure(webhook, error, even_if_parsed)
        raise
    applied = {"is_parsed": True, "is_wrong_mode": False, "parse_error": parse_error}
    set_as_stored(webhook, {**applied, "retry_at": None})
    for action in webhook.actions_after_commit:
        _call(action, webhook)
    return True


def _apply(webhook: StripeWebhook, even_if_parsed: bool) -> str:
    """Mark the event and call its handlers in one transaction; return the ``parse_error``."""
    webhook.actions_after_commit = []
    using, parse_error = database_of(webhook), ""
    is_committed: list[bool] = []
    try:
        with transaction.atomic(using=using):
            # The first callback: any error after it is raised by a callback, after the commit.
            transaction.on_commit(partial(is_committed.append, True), using=using)
            _mark(webhook, even_if_parsed)
            parse_error = "\n".join(_handle(webhook, using))
            if parse_error:
                _row(webhook).update(parse_error=parse_error)
    except Exception:
        if not is_committed:
            raise
        logger.exception("on_commit callback of event %s failed.", webhook)
    return parse_error


def _mark(webhook: StripeWebhook, even_if_parsed: bool) -> None:
    marked = {"is_parsed": True, "parse_error": "", "retry_at": None, "is_wrong_mode": False}
    if not _unapplied_row(webhook, even_if_parsed).update(**marked, updated=timezone.now()):
        raise StripeWebhookAlreadyParsed


def _handle(webhook: StripeWebhook, using: str) -> Iterator[str]:
    """Call each handler in a savepoint; yield the messages of those that reject the event."""
    if not webhook.event_type:
        yield "This is not a Stripe event."
        return
    for handler in _handlers_of(webhook):
        actions = list(webhook.actions_after_commit)
        try:
            with transaction.atomic(using=using):
                handler(webhook)
                _reject_swallowed_error(handler, using)
        except StripeWebhookParseError as error:
            webhook.actions_after_commit = actions  # the handler's writes are rolled back too
            logger.info("Event %s (%s): %s", webhook, webhook.event_type, error)
            yield storable_text(str(error))
        except StripeWebhookAlreadyParsed as error:
            raise RuntimeError(
                f"{_name_of(handler)} called parse() on an event that has already been applied. "
                "The event passed to a handler needs no parse()."
            ) from error


def _handlers_of(webhook: StripeWebhook) -> list[Handler]:
    """Return the signal's receivers as one handler, followed by the registered handlers."""
    handlers = registry.handlers_of(webhook.event_type)
    has_receivers = webhook_pre_parse.has_listeners(root_model(webhook))
    return [_send_pre_parse, *handlers] if has_receivers else handlers


def _send_pre_parse(webhook: StripeWebhook) -> None:
    model, separator, action = webhook.event_type.rpartition(".")
    webhook_pre_parse.send(
        sender=root_model(webhook),
        instance=webhook,
        event_type=webhook.event_type,
        event_model=model if separator else None,
        event_action=action if separator else None,
    )


def _reject_swallowed_error(handler: Handler, using: str) -> None:
    if transaction.get_rollback(using):
        raise SwallowedDatabaseError(
            f"{_name_of(handler)} continued after a database error. "
            "Wrap statements that may fail in their own transaction.atomic()."
        )


def _name_of(handler: Handler) -> str:
    return str(getattr(handler, "__qualname__", handler))


def _record_failure(webhook: StripeWebhook, error: Exception, even_if_parsed: bool) -> None:
    message = storable_text("".join(traceback.format_exception_only(error)).strip())
    values = {"parse_error": message, "retry_at": delay_after(webhook.attempts)}
    try:
        is_recorded = _unapplied_row(webhook, even_if_parsed).update(
            **values, updated=timezone.now()
        )
    except Error:  # a database error, which may also have caused the failure
        logger.exception("The failure of event %s could not be recorded.", webhook)
        return
    if is_recorded:
        set_as_stored(webhook, values)


def _call(action: Callable[[], object], webhook: StripeWebhook) -> None:
    try:
        action()
    except Exception:
        logger.exception("after_commit callback of event %s failed.", webhook)


def _unapplied_row(webhook: StripeWebhook, even_if_parsed: bool) -> QuerySet[StripeWebhook]:
    """Return the event's row if it may be applied, else no row."""
    is_unapplied = Q(is_parsed=False)
    if even_if_parsed:
        is_unapplied |= ~Q(parse_error="")
    return _row(webhook).filter(is_unapplied)


def _row(webhook: StripeWebhook) -> QuerySet[StripeWebhook]:
    return type(webhook)._base_manager.using(database_of(webhook)).filter(pk=webhook.pk)
