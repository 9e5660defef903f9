"""Processors: functions that pass the key of a committed row to a queue. Settings name them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from django.db import transaction
from django.utils.module_loading import import_string

from aa_stripe.settings import stripe_settings

logger = logging.getLogger("aa-stripe")

CELERY = "celery"
DJANGO_TASKS = "django_tasks"

#: The module of each queue that a setting can name by a word.
QUEUES = {
    CELERY: "aa_stripe.contrib.celery",
    DJANGO_TASKS: "aa_stripe.contrib.django_tasks",
}

#: The values of ``STRIPE_WEBHOOK_PROCESSOR`` without a queue: an event is applied before the
#: response to Stripe (inline), or by the command ``process_webhooks`` (deferred).
INLINE = "inline"
DEFERRED = "deferred"

#: The value of ``STRIPE_CHARGE_PROCESSOR`` without a queue: ``charge_stripe`` collects the charge.
CRON = "cron"

#: A word, a function that takes a row's key, or its dotted path.
Processor: TypeAlias = str | Callable[[Any], object]


@dataclass(frozen=True)
class ProcessorSetting:
    """A setting that determines which function passes a row's key to a queue."""

    #: The setting's name without the prefix.
    name: str
    #: Its values without a queue.
    words: tuple[str, ...]
    #: The name of the function in a queue's module.
    function: str
    #: The log message if the function raises; it gets the key.
    failure: str

    def value(self) -> Processor:
        """Return the project's setting, which may be invalid."""
        value: Processor = getattr(stripe_settings, self.name)
        return value

    def path(self, value: str) -> str:
        """Return the dotted path of the function that ``value`` names."""
        return f"{QUEUES[value]}.{self.function}" if value in QUEUES else value

    def pass_on(self, value: Processor, key: object, using: str) -> None:
        """Pass the key of a row to the queue after the commit of the transaction, if one is open.

        ``using`` is the row's database. An error is logged only: cron finds the row.
        """
        transaction.on_commit(partial(self._enqueue, value, key), using=using)

    def _enqueue(self, value: Processor, key: object) -> None:
        try:
            enqueue = value if callable(value) else import_string(self.path(value))
            enqueue(key)
        except Exception:
            logger.exception(self.failure, key)


EVENTS = ProcessorSetting(
    "WEBHOOK_PROCESSOR",
    words=(INLINE, DEFERRED),
    function="enqueue",
    failure="Event %s is stored, but could not be enqueued.",
)

CHARGES = ProcessorSetting(
    "CHARGE_PROCESSOR",
    words=(CRON,),
    function="enqueue_charge",
    failure="Charge %s is due, but could not be enqueued.",
)

SETTINGS = (EVENTS, CHARGES)
