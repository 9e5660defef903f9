"""Applying an event exactly once, even if a process crashes or hangs in between.

A process claims the event first: it counts an attempt and sets ``claimed_until``. Then one
transaction holds all writes of the handlers and finally the mark, which requires that no other
process has counted an attempt since. The row is not locked meanwhile: others see the claim.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from aa_stripe.exceptions import (
    StripeInProgress,
    StripeMethodNotAllowed,
    StripeWebhookAlreadyParsed,
    StripeWebhookParseError,
    StripeWebhookTooSlow,
)
from aa_stripe.models.latest import reread_latest
from aa_stripe.models.rows import (
    database_of,
    retry_on_conflict,
    root_model,
    set_as_stored,
)
from aa_stripe.models.webhook.claim import (
    STATE,
    ClaimLost,
    applied,
    claim,
    claim_patiently,
    delay_after,
    end_claim,
    give_up,
    hold,
    mark,
)
from aa_stripe.settings import stripe_settings
from aa_stripe.signals import webhook_pre_parse
from aa_stripe.utils import storable_text
from aa_stripe.webhooks import Handler, registry

if TYPE_CHECKING:
    from aa_stripe.models.webhook.model import StripeWebhook

logger = logging.getLogger("aa-stripe")

#: The ids of the events that this context is applying.
_in_progress: ContextVar[frozenset[str]] = ContextVar("aa_stripe_in_progress", default=frozenset())


class SwallowedDatabaseError(RuntimeError):
    """A database error that a handler caught: its transaction cannot be committed any more."""


class _Rejected(Exception):
    """The only handler of an event has rejected it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def apply_event(
    webhook: StripeWebhook,
    *,
    is_claimed: bool = False,
    is_patient: bool = False,
    even_if_parsed: bool = False,
    on_claim: Callable[[int], object] | None = None,
) -> bool:
    """Apply the event in one transaction; return whether this call applied it.

    ``False`` means that another process has applied the event or is applying it; the object's
    ``is_parsed`` says which.

    ``is_claimed``: the row's INSERT has claimed the event. ``is_patient``: wait for another process
    that is applying it. ``even_if_parsed``: also apply an event that a handler rejected.
    ``on_claim`` is called with the token of the claim, before the handlers; see ``give_up_event``.

    Raises ``StripeMethodNotAllowed`` for an event of the other mode (live or test) than the API
    key; ``StripeWebhookInProgress`` if another process is not done after ten seconds
    (``is_patient``); and ``StripeWebhookTooSlow`` if another process has claimed the event because
    the handlers took longer than ``STRIPE_WEBHOOK_HANDLER_TIMEOUT``. Any exception of a receiver or
    a handler but ``StripeWebhookParseError`` rolls back all writes and is raised; ``parse_error``
    has its message, ``retry_at`` the time of the retry.
    """
    reject_wrong_mode(webhook)
    if webhook.pk in _in_progress.get():
        return False
    token: int | None
    if is_claimed:
        token = webhook.attempts
    elif is_patient:
        token = claim_patiently(webhook)
    else:
        token = claim(webhook, even_if_parsed=even_if_parsed)
    if token is None:
        return False
    if on_claim is not None:
        on_claim(token)
    return _attempt(webhook, token)


def give_up_event(webhook: StripeWebhook, token: int) -> None:
    """End the claim of an event whose handlers take too long in another thread.

    That thread cannot commit any more. ``parse_error`` and ``retry_at`` are set as after any other
    failure, unless the event is applied or another process has claimed it.
    """
    try:
        _record_failure(webhook, token, too_slow(), end=give_up)
    except StripeInProgress:
        logger.error("The failure of event %s could not be recorded: its row is locked.", webhook)


def too_slow() -> StripeWebhookTooSlow:
    """Return the error of an event that was given up."""
    return StripeWebhookTooSlow(
        _("The handlers took longer than %(seconds)s seconds. The event will be retried.")
        % {"seconds": stripe_settings.WEBHOOK_HANDLER_TIMEOUT}
    )


def reject_wrong_mode(webhook: StripeWebhook) -> None:
    """Raise ``StripeMethodNotAllowed`` if the event is of another mode than the API key."""
    if webhook.is_of_wrong_mode():
        raise StripeMethodNotAllowed(
            _("The event is from live mode, but STRIPE_API_KEY is not a live key.")
            if webhook.raw_data["livemode"]
            else _("The event is from test mode, but STRIPE_API_KEY is not a test key.")
        )


def _attempt(webhook: StripeWebhook, token: int) -> bool:
    before = {"is_parsed": webhook.is_parsed, "parse_error": webhook.parse_error}
    set_as_stored(webhook, {"is_parsed": False})  # receivers check it
    begun = time.monotonic()
    try:
        parse_error = retry_on_conflict(database_of(webhook), partial(_apply, webhook, token))
    except ClaimLost as lost:
        return _give_up(webhook, lost)
    except Exception as error:
        set_as_stored(webhook, before)
        _record_failure(webhook, token, error)
        raise
    except BaseException:  # the process ends
        set_as_stored(webhook, before)
        end_claim(webhook, token, {})
        raise
    set_as_stored(webhook, applied(parse_error))
    _warn_if_late(webhook, time.monotonic() - begun)
    for action in webhook.actions_after_commit:
        _call(action, webhook)
    return True


def _give_up(webhook: StripeWebhook, lost: ClaimLost) -> bool:
    """Return ``False`` if another process has applied the event; raise an error if not yet."""
    reread_latest(webhook, STATE)
    if not webhook.is_parsed:
        raise StripeWebhookTooSlow from lost
    logger.info("Event %s was already applied by another process.", webhook)
    return False


def _apply(webhook: StripeWebhook, token: int) -> str:
    """Apply the event; return the ``parse_error``."""
    try:
        return _apply_all(webhook, token)
    except _Rejected as rejected:  # the transaction had nothing to commit but the mark
        webhook.actions_after_commit = []
        mark(webhook, token, rejected.message)
        return rejected.message


def _apply_all(webhook: StripeWebhook, token: int) -> str:
    """Call the handlers and mark the event in one transaction; return the ``parse_error``."""
    set_as_stored(webhook, {"parse_error": ""})  # receivers may set it
    webhook.actions_after_commit, is_committed = [], list[bool]()
    using, parse_error = database_of(webhook), ""
    try:
        with transaction.atomic(using=using), _marked_in_progress(webhook):
            # The first callback: any error after it is raised by a callback, after the commit.
            transaction.on_commit(partial(is_committed.append, True), using=using)
            hold(webhook, token)
            errors = [*_handle(webhook, using)]
            parse_error = storable_text("\n".join(filter(None, [webhook.parse_error, *errors])))
            mark(webhook, token, parse_error)
    except Exception:
        if not is_committed:
            raise
        logger.exception("on_commit callback of event %s failed.", webhook)
    return parse_error


@contextmanager
def _marked_in_progress(webhook: StripeWebhook) -> Iterator[None]:
    token = _in_progress.set(_in_progress.get() | {webhook.pk})
    try:
        yield
    finally:
        _in_progress.reset(token)


def _handle(webhook: StripeWebhook, using: str) -> Iterator[str]:
    """Call the handlers; yield the messages of those that reject the event.

    Each has a savepoint. The only one needs none: raises ``_Rejected`` if it rejects the event.
    """
    if not webhook.event_type:
        yield "This is not a Stripe event."
        return
    handlers = _handlers_of(webhook)
    has_savepoint = len(handlers) > 1
    for handler in handlers:
        actions = list(webhook.actions_after_commit)
        try:
            with transaction.atomic(using=using) if has_savepoint else nullcontext():
                handler(webhook)
                _reject_swallowed_error(handler, using)
        except StripeWebhookParseError as error:
            webhook.actions_after_commit = actions  # the handler's writes are rolled back too
            logger.info("Event %s (%s): %s", webhook, webhook.event_type, error)
            message = storable_text(str(error))
            if not has_savepoint:
                raise _Rejected(message) from error
            yield message
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


def _call(action: Callable[[], object], webhook: StripeWebhook) -> None:
    try:
        action()
    except Exception:
        logger.exception("after_commit callback of event %s failed.", webhook)


def _record_failure(
    webhook: StripeWebhook,
    token: int,
    error: Exception,
    end: Callable[[StripeWebhook, int, dict[str, Any]], None] = end_claim,
) -> None:
    message = storable_text("".join(traceback.format_exception_only(error)).strip())
    end(webhook, token, {"parse_error": message, "retry_at": delay_after(token)})


def _warn_if_late(webhook: StripeWebhook, seconds: float) -> None:
    """Warn if the event was applied although another process could have claimed it."""
    if seconds > stripe_settings.WEBHOOK_HANDLER_TIMEOUT:
        logger.warning(
            "The handlers of event %s (%s) took %.1f seconds, longer than "
            "STRIPE_WEBHOOK_HANDLER_TIMEOUT (%s). The event is applied.",
            *(webhook, webhook.event_type, seconds, stripe_settings.WEBHOOK_HANDLER_TIMEOUT),
        )
