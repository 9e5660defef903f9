"""An event that Stripe delivered, as it was signed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from model_utils import FieldTracker
from model_utils.fields import AutoCreatedField, AutoLastModifiedField

from aa_stripe import gateway
from aa_stripe.exceptions import StripeMethodNotAllowed, StripeWebhookAlreadyParsed
from aa_stripe.models.base import SavesOnlyChanges
from aa_stripe.models.webhook.apply import apply, count_attempt, delay_after
from aa_stripe.signals import webhook_pre_parse
from aa_stripe.utils import storable_json
from aa_stripe.webhooks import registry


class StripeWebhookQuerySet(models.QuerySet["StripeWebhook"]):
    def unapplied(self) -> StripeWebhookQuerySet:
        """Events that have not taken effect, those of the other mode (live or test) left out."""
        return self.filter(is_parsed=False, is_wrong_mode=False)

    def due(self) -> StripeWebhookQuerySet:
        """Unapplied ones whose time to be tried (again) has come."""
        is_time = models.Q(retry_at=None) | models.Q(retry_at__lte=timezone.now())
        return self.unapplied().filter(is_time)

    def failed(self) -> StripeWebhookQuerySet:
        """Events of which a handler has said why it could not follow them."""
        return self.filter(is_wrong_mode=False).exclude(parse_error="")


class StripeWebhook(SavesOnlyChanges):
    """Saving a new one applies it: ``StripeWebhook.objects.create(id=..., raw_data=...)``."""

    #: Stripe's event id.
    id = models.CharField(primary_key=True, max_length=255)
    created = AutoCreatedField(_("created"))
    updated = AutoLastModifiedField(_("updated"))
    #: Whether the event has taken effect, or a handler has said in ``parse_error`` why it cannot.
    is_parsed = models.BooleanField(default=False)
    #: The body that was signed, client secrets left out; see ``storable_json`` for what is escaped.
    raw_data = models.JSONField(default=dict, blank=True)
    #: What the last try ended with; ``""`` when all went well, or nothing was tried yet.
    parse_error = models.TextField(blank=True)
    #: How often applying it was begun.
    attempts = models.PositiveIntegerField(default=0)
    #: Not before this time is it tried again; ``None``: as soon as somebody looks.
    retry_at = models.DateTimeField(blank=True, null=True)
    #: Sent from live mode to a site with a test key, or the other way round: kept, not applied.
    is_wrong_mode = models.BooleanField(default=False)

    tracker = FieldTracker()

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
        return self.id

    @property
    def event_type(self) -> str:
        """Stripe's, such as ``coupon.created``; ``""`` for a row of old that is no event."""
        raw = self.raw_data if isinstance(self.raw_data, dict) else {}
        return str(raw.get("type") or "")

    @property
    def stripe_object(self) -> dict[str, Any]:
        """What the event is about, as it was then; ``{}`` for a row of old that is no event."""
        raw = self.raw_data if isinstance(self.raw_data, dict) else {}
        data = raw.get("data")
        about = data.get("object") if isinstance(data, dict) else None
        return about if isinstance(about, dict) else {}

    @property
    def has_listeners(self) -> bool:
        """Whether anybody would be called for the event."""
        is_announced = webhook_pre_parse.has_listeners(StripeWebhook)
        return bool(is_announced or registry.handlers_of(self.event_type))

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store a new event and apply it; of one that is stored, save what was changed.

        Raises ``IntegrityError`` for an event that is here already, and what ``parse()`` raises;
        the event is stored then, and tried again by ``process_webhooks``.
        """
        if not self._state.adding:
            super().save(*args, **kwargs)
            return
        if not self.is_parsed:
            self.attempts, self.retry_at = 1, delay_after(1)
        self.store(**kwargs)
        if not self.is_parsed and not self.is_wrong_mode:
            apply(self)

    def store(self, **kwargs: Any) -> None:
        """Insert the event without applying it. Raises ``IntegrityError`` if it is here."""
        self.raw_data = storable_json(gateway.without_secrets(self.raw_data))
        self.is_wrong_mode = self.is_of_wrong_mode()
        super().save(**{**kwargs, "force_insert": True})

    def is_of_wrong_mode(self) -> bool:
        """Whether the event comes from live mode and the API key is of test mode, or vice versa."""
        raw = self.raw_data if isinstance(self.raw_data, dict) else {}
        livemode = raw.get("livemode")
        return isinstance(livemode, bool) and livemode != gateway.is_live()

    def parse(self, save: bool = False) -> None:
        """Apply the event: send ``webhook_pre_parse``, call the handlers, mark it as parsed.

        All of it takes effect, or nothing. A handler's ``StripeWebhookParseError`` undoes what
        this handler has written, and is kept in ``parse_error``; the event counts as parsed.
        ``save`` is accepted for 0.14's sake: the mark is always stored.

        Raises ``StripeWebhookAlreadyParsed`` if the event was applied, ``StripeMethodNotAllowed``
        if it is one of the other mode than the API key, and whatever else a receiver or a handler
        raises; then all is undone, ``parse_error`` says why, and it will be tried again.
        """
        self._refuse_wrong_mode()
        if self._state.adding:
            self.save()
            return
        count_attempt(self)
        apply(self)

    def retry(self, *, even_if_parsed: bool = False) -> bool:
        """``parse()`` for a process among others: only one of them does it.

        Returns whether it was this one. ``even_if_parsed``: also an event that counts as parsed
        though a handler could not follow it; all its handlers are called again.
        """
        self._refuse_wrong_mode()
        if not count_attempt(self, only_as_read=True, even_if_parsed=even_if_parsed):
            return False
        try:
            apply(self, even_if_parsed=even_if_parsed)
        except StripeWebhookAlreadyParsed:
            return False
        return True

    def _refuse_wrong_mode(self) -> None:
        if self.is_of_wrong_mode():
            raise StripeMethodNotAllowed(
                _("The event is one of live mode, and STRIPE_API_KEY is not.")
                if self.raw_data["livemode"]
                else _("The event is one of test mode, and STRIPE_API_KEY is not.")
            )

    def after_commit(self, action: Callable[[], object]) -> None:
        """For handlers: call ``action()`` once all that they have written is committed.

        Unlike ``transaction.on_commit()`` it is called in a test that runs in a transaction, too.
        An error in it is logged.
        """
        self.actions_after_commit.append(action)
