"""An event that Stripe delivered, as it was signed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.db import models, transaction
from django.db.models.signals import post_save, pre_save
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _
from model_utils.fields import AutoCreatedField, AutoLastModifiedField

from aa_stripe import gateway
from aa_stripe.exceptions import StripeWebhookAlreadyParsed
from aa_stripe.fields import ExactCharField, PlainJSONField
from aa_stripe.models.changes import SavesOnlyChanges
from aa_stripe.models.claims import is_free
from aa_stripe.models.now import process_now
from aa_stripe.models.rows import database_of, has_commit
from aa_stripe.models.statements import insert
from aa_stripe.models.webhook.apply import apply_event, reject_wrong_mode
from aa_stripe.models.webhook.claim import delay_after, lease, mark_unclaimed
from aa_stripe.signals import webhook_pre_parse
from aa_stripe.webhooks import registry


class StripeWebhookQuerySet(models.QuerySet["StripeWebhook"]):
    def unapplied(self) -> StripeWebhookQuerySet:
        """Return events that were not applied yet, except those with ``is_wrong_mode``."""
        return self.filter(is_parsed=False, is_wrong_mode=False)

    def due(self) -> StripeWebhookQuerySet:
        """Return unapplied events whose ``retry_at`` is unset or in the past.

        Those that a process is applying are excluded.
        """
        is_time = models.Q(retry_at=None) | models.Q(retry_at__lte=timezone.now())
        return self.unapplied().filter(is_time, is_free())

    def failed(self) -> StripeWebhookQuerySet:
        """Return events that a handler rejected or failed on; see ``parse_error``."""
        return self.filter(is_wrong_mode=False).exclude(parse_error="")


class StripeWebhook(SavesOnlyChanges):
    """An event. Saving it applies it once: ``objects.create(id=..., raw_data=...)``."""

    #: Stripe's event id.
    id = ExactCharField(primary_key=True, max_length=255)
    created = AutoCreatedField(_("created"))
    updated = AutoLastModifiedField(_("updated"))
    #: True once the event was applied. A handler may have rejected it; see ``parse_error``.
    is_parsed = models.BooleanField(default=False)
    #: The signed body without client secrets; ``storable_json`` escapes some characters.
    raw_data = PlainJSONField(default=dict, blank=True)
    #: The error of the last attempt; ``""`` if it succeeded, or before the first one.
    parse_error = models.TextField(blank=True)
    #: Number of attempts that were begun.
    attempts = models.PositiveIntegerField(default=0)
    #: ``process_webhooks`` does not retry before this time; ``None``: retry at its next run.
    retry_at = models.DateTimeField(blank=True, null=True)
    #: Until when a process is applying the event; ``None``: none is.
    claimed_until = models.DateTimeField(blank=True, null=True, editable=False)
    #: From live mode, while the API key is a test key, or vice versa: stored, but not applied.
    is_wrong_mode = models.BooleanField(default=False)

    objects = StripeWebhookQuerySet.as_manager()

    class Meta:
        ordering = ["-created"]
        indexes = [
            models.Index(fields=["is_parsed", "retry_at"], name="aa_stripe_webhook_unapplied")
        ]
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.actions_after_commit: list[Callable[[], object]] = []

    def __str__(self) -> str:
        return str(self.id)

    @property
    def event_type(self) -> str:
        """Stripe's event type, e.g. ``coupon.created``; ``""`` for an old row without an event."""
        raw = self.raw_data if isinstance(self.raw_data, dict) else {}
        return str(raw.get("type") or "")

    @property
    def stripe_object(self) -> dict[str, Any]:
        """The event's object as it was then; ``{}`` for an old row without an event."""
        raw = self.raw_data if isinstance(self.raw_data, dict) else {}
        data = raw.get("data")
        stripe_object = data.get("object") if isinstance(data, dict) else None
        return stripe_object if isinstance(stripe_object, dict) else {}

    @property
    def has_listeners(self) -> bool:
        """Return whether the event has a handler, or ``webhook_pre_parse`` a receiver."""
        return _has_listeners(self.event_type)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store the event and apply it if it is not parsed; as in 0.14, a stored one as well.

        Of a stored event only the changed fields are written. It is not applied by a ``save()``
        with ``update_fields`` that lack ``is_parsed``, nor while another process applies it.

        Raises ``IntegrityError`` if the event is already stored, and what ``parse()`` raises. In
        the latter case the event is stored, and ``process_webhooks`` retries it.
        """
        if not self._state.adding:
            super().save(*args, **kwargs)
            if self._is_to_be_applied(kwargs.get("update_fields")):
                apply_event(self)
            return
        if not self.is_parsed:
            self.claim_first_attempt()
        self.store(**kwargs)
        if self.is_parsed or self.is_wrong_mode:
            return
        if not apply_event(self, is_claimed=True):
            raise StripeWebhookAlreadyParsed

    def _is_to_be_applied(self, update_fields: Iterable[str] | None) -> bool:
        if self.is_parsed or self.is_wrong_mode or self.is_of_wrong_mode():
            return False
        return update_fields is None or "is_parsed" in update_fields

    def claim_first_attempt(self) -> None:
        """Count and claim the first attempt of a new event, which ``store()`` then commits.

        The time is that of this process's clock: receivers of ``post_save`` read it.
        """
        self.attempts, self.retry_at = 1, delay_after(1)
        self.claimed_until = process_now(database_of(self)) + lease()

    def store(self, **kwargs: Any) -> None:
        """Insert the event without applying it. Raises ``IntegrityError`` if it is stored."""
        self.raw_data = gateway.storable(self.raw_data)
        self.insert(**kwargs)

    def insert(self, **kwargs: Any) -> None:
        """Insert an event whose ``raw_data`` is in the form that is stored; see ``store``.

        It is reduced if it is about an erased customer.
        """
        if isinstance(self.raw_data, dict):
            # Above this module: it reads customers and charges.
            reduced_if_erased = import_string("aa_stripe.models.erasing.reduced_if_erased")
            self.raw_data = reduced_if_erased(self.raw_data)
        self.is_wrong_mode = self.is_of_wrong_mode()
        if self.is_parsed or self.is_wrong_mode:
            self.claimed_until = None
        using = kwargs.get("using") or database_of(self)
        if self._has_receivers_of_save() or type(self) is not StripeWebhook:
            with transaction.atomic(using=using):
                super().save(**{**kwargs, "force_insert": True})
        else:
            insert(self, using)
            self._state.adding, self._state.db = False, using
        if has_commit(using):
            self.keep_as_stored(using=using)
        else:
            self.keep_as_read()

    def _has_receivers_of_save(self) -> bool:
        return any(it.has_listeners(type(self)) for it in (pre_save, post_save))

    def is_of_wrong_mode(self) -> bool:
        """Return whether the mode (live or test) of the event is not that of the API key."""
        raw = self.raw_data if isinstance(self.raw_data, dict) else {}
        return gateway.is_of_other_mode(raw.get("livemode"))

    def parse(self, save: bool = False) -> None:
        """Apply the event: send ``webhook_pre_parse``, call the handlers, mark it as parsed.

        All of it is one transaction. A ``StripeWebhookParseError`` rolls back only the writes of
        its handler and is stored in ``parse_error``; the event counts as parsed. ``save`` exists
        for code written for 0.14 and has no effect: the mark is always stored.

        Waits up to ten seconds for another process that is applying the event, then raises
        ``StripeWebhookInProgress``. Raises ``StripeWebhookAlreadyParsed`` if the event was applied,
        ``StripeMethodNotAllowed`` if its mode (live or test) is not that of the API key, and any
        other exception of a receiver or a handler. Such an exception rolls back everything,
        ``parse_error`` has its message, and the event will be retried.
        """
        reject_wrong_mode(self)
        if self._state.adding:
            self.save()
        elif not apply_event(self, is_patient=True):
            raise StripeWebhookAlreadyParsed

    def retry(self, *, even_if_parsed: bool = False) -> bool:
        """Apply the event unless another process does; return whether this call applied it.

        ``even_if_parsed``: also apply an event that a handler rejected; all its handlers run
        again. Raises what ``parse()`` raises, except ``StripeWebhookAlreadyParsed``.
        """
        return apply_event(self, even_if_parsed=even_if_parsed)

    @classmethod
    def apply_unhandled(cls, id: str, event_type: object, attempts: int) -> bool:
        """Mark a stored event that has no handler as applied; return whether this call did.

        One statement, without a claim. ``False`` means that the row has to be read: the event has
        a handler, or it is no longer unapplied and unclaimed with that number of ``attempts``.
        """
        if not isinstance(event_type, str) or not event_type or _has_listeners(event_type):
            return False
        return mark_unclaimed(StripeWebhook, id, attempts)

    def after_commit(self, action: Callable[[], object]) -> None:
        """Call ``action()`` once the event's transaction is committed. For handlers.

        Unlike a ``transaction.on_commit()`` callback, ``action`` is also called in a test that
        runs in a transaction. An exception in it is logged.
        """
        self.actions_after_commit.append(action)


def _has_listeners(event_type: str) -> bool:
    has_receivers = webhook_pre_parse.has_listeners(StripeWebhook)
    return bool(has_receivers or registry.handlers_of(event_type))
