"""Applying an event exactly once, whatever crashes in between.

One transaction marks the event's row and holds all that its handlers write. The mark comes first:
it takes the row's lock and fails if somebody else has set it, in one statement on every database.
"""

from __future__ import annotations

import logging
import random
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from django.db import DatabaseError, Error, connections, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from aa_stripe.exceptions import StripeWebhookAlreadyParsed, StripeWebhookParseError
from aa_stripe.models.rows import database_of, is_conflict
from aa_stripe.signals import webhook_pre_parse
from aa_stripe.utils import storable_text
from aa_stripe.webhooks import Handler, registry

if TYPE_CHECKING:
    from aa_stripe.models.webhook.model import StripeWebhook

T = TypeVar("T")

logger = logging.getLogger("aa-stripe")

#: How long to wait after the first attempt; twice as long after each further one, up to the limit.
FIRST_DELAY = timedelta(minutes=1)
LONGEST_DELAY = timedelta(hours=6)

#: So often it is begun when other transactions are in the way, with a pause of so many seconds.
TRIES = 3
PAUSE = 0.1


class SwallowedDatabaseError(RuntimeError):
    """A handler went on after a database error, so what it wrote cannot be committed."""


def delay_after(attempts: int) -> datetime:
    """When an event is tried again after so many attempts."""
    doublings = min(attempts - 1, 20)  # a number large enough, and not too large for a timedelta
    delay: timedelta = min(FIRST_DELAY * 2**doublings, LONGEST_DELAY)
    return timezone.now() + delay


def count_attempt(
    webhook: StripeWebhook, *, only_as_read: bool = False, even_if_parsed: bool = False
) -> bool:
    """Commit that the event is tried once more, before it is: should it kill the process, that
    can be seen, and the next try is put off.

    ``only_as_read``: not if somebody else has counted meanwhile. Returns whether it was counted.
    """
    rows = _open(webhook, even_if_parsed)
    if only_as_read:
        rows = rows.filter(attempts=webhook.attempts)
    retry_at = delay_after(webhook.attempts + 1)
    count = partial(rows.update, attempts=F("attempts") + 1, retry_at=retry_at)
    is_counted = _despite_conflicts(webhook, count) == 1
    if is_counted:
        _take_over(webhook, attempts=webhook.attempts + 1, retry_at=retry_at)
    return is_counted


def apply(webhook: StripeWebhook, *, even_if_parsed: bool = False) -> None:
    """Let the event take effect. See ``StripeWebhook.parse``."""
    counted_as_parsed = webhook.is_parsed
    _take_over(webhook, is_parsed=False)  # receivers ask whether there is anything to be done
    try:
        parse_error = _despite_conflicts(webhook, partial(_apply, webhook, even_if_parsed))
    except StripeWebhookAlreadyParsed:
        _take_over(webhook, is_parsed=True)
        raise
    except Exception as error:
        _take_over(webhook, is_parsed=counted_as_parsed)
        _record_failure(webhook, error, even_if_parsed)
        raise
    _take_over(webhook, is_parsed=True, is_wrong_mode=False, parse_error=parse_error, retry_at=None)
    for action in webhook.actions_after_commit:
        _call(action, webhook)


def _despite_conflicts(webhook: StripeWebhook, act: Callable[[], T]) -> T:
    """``act()``, begun again when another transaction was in the way."""
    is_inside = connections[database_of(webhook)].in_atomic_block
    tries = 0
    while True:
        tries += 1
        try:
            return act()
        except DatabaseError as error:
            if tries == TRIES or is_inside or not is_conflict(error):
                raise
        time.sleep(random.uniform(PAUSE / 2, PAUSE))  # noqa: S311 (so that two do not meet again)


def _apply(webhook: StripeWebhook, even_if_parsed: bool) -> str:
    """Apply the event in one transaction; return what ``parse_error`` says afterwards."""
    webhook.actions_after_commit = []
    using, parse_error = database_of(webhook), ""
    is_committed: list[bool] = []
    try:
        with transaction.atomic(using=using):
            # The first of all callbacks: what fails after it, fails after the commit.
            transaction.on_commit(partial(is_committed.append, True), using=using)
            _mark(webhook, even_if_parsed)
            parse_error = "\n".join(_handle(webhook, using))
            if parse_error:
                _rows(webhook).update(parse_error=parse_error)
    except Exception:
        if not is_committed:
            raise
        logger.exception("A callback after the commit of event %s failed.", webhook)
    return parse_error


def _mark(webhook: StripeWebhook, even_if_parsed: bool) -> None:
    marked = {"is_parsed": True, "parse_error": "", "retry_at": None, "is_wrong_mode": False}
    if not _open(webhook, even_if_parsed).update(**marked, updated=timezone.now()):
        raise StripeWebhookAlreadyParsed


def _handle(webhook: StripeWebhook, using: str) -> Iterator[str]:
    """Call everybody who listens, each in a savepoint; what they could not follow."""
    if not webhook.event_type:
        yield "This is no event of Stripe's."
        return
    for handler in _listeners(webhook):
        actions = list(webhook.actions_after_commit)
        try:
            with transaction.atomic(using=using):
                handler(webhook)
                _refuse_swallowed_error(handler, using)
        except StripeWebhookParseError as error:
            webhook.actions_after_commit = actions  # as its writes, what is to follow them
            logger.info("Event %s (%s): %s", webhook, webhook.event_type, error)
            yield storable_text(str(error))
        except StripeWebhookAlreadyParsed as error:
            raise RuntimeError(
                f"{_named(handler)} called parse() of an event that is applied already; its own "
                "is, as soon as it is handed to it."
            ) from error


def _listeners(webhook: StripeWebhook) -> list[Handler]:
    """The receivers of the signal, who come first, and the handlers."""
    handlers = registry.handlers_of(webhook.event_type)
    return [_announce, *handlers] if webhook_pre_parse.has_listeners(type(webhook)) else handlers


def _announce(webhook: StripeWebhook) -> None:
    model, separator, action = webhook.event_type.rpartition(".")
    webhook_pre_parse.send(
        sender=type(webhook),
        instance=webhook,
        event_type=webhook.event_type,
        event_model=model if separator else None,
        event_action=action if separator else None,
    )


def _refuse_swallowed_error(handler: Handler, using: str) -> None:
    if transaction.get_rollback(using):
        raise SwallowedDatabaseError(
            f"{_named(handler)} went on after a database error; wrap what may fail into a "
            "transaction.atomic() of its own."
        )


def _named(handler: Handler) -> str:
    return str(getattr(handler, "__qualname__", handler))


def _record_failure(webhook: StripeWebhook, error: Exception, even_if_parsed: bool) -> None:
    said = storable_text("".join(traceback.format_exception_only(error)).strip())
    values = {"parse_error": said, "retry_at": delay_after(webhook.attempts)}
    try:
        is_ours = _open(webhook, even_if_parsed).update(**values, updated=timezone.now())
    except Error:  # the database's, which may be what has failed before
        logger.exception("What became of event %s could not be recorded.", webhook)
        return
    if is_ours:
        _take_over(webhook, **values)


def _call(action: Callable[[], object], webhook: StripeWebhook) -> None:
    try:
        action()
    except Exception:
        logger.exception("What was to follow event %s failed.", webhook)


def _open(webhook: StripeWebhook, even_if_parsed: bool) -> QuerySet[StripeWebhook]:
    """The event's row, if it may be applied."""
    is_open = Q(is_parsed=False)
    if even_if_parsed:
        is_open |= ~Q(parse_error="")
    return _rows(webhook).filter(is_open)


def _rows(webhook: StripeWebhook) -> QuerySet[StripeWebhook]:
    return type(webhook)._base_manager.using(database_of(webhook)).filter(pk=webhook.pk)


def _take_over(webhook: StripeWebhook, **values: object) -> None:
    """Let the object in hand say what its row says, without reading it."""
    for name, value in values.items():
        setattr(webhook, name, value)
    webhook.tracker.set_saved_fields(fields=list(values))
