"""The start-up of the app: the SDK's settings, system checks, webhook handlers."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class AaStripeConfig(AppConfig):
    name = "aa_stripe"
    verbose_name = _("Stripe")
    # 0.14 had 32-bit ids. Set here so that DEFAULT_AUTO_FIELD adds no migration to widen them.
    default_auto_field = "django.db.models.AutoField"

    def ready(self) -> None:
        from aa_stripe import checks, gateway  # noqa: F401 (checks register themselves)

        gateway.configure_sdk()
        autodiscover_modules("stripe_webhooks")
        self._register_celery_tasks()

    def _register_celery_tasks(self) -> None:
        """Import our Celery tasks, because a worker discards messages for unknown tasks."""
        from aa_stripe.processors import CELERY, QUEUES, SETTINGS

        if any(setting.value() == CELERY for setting in SETTINGS):
            with suppress(ImportError):  # the system checks report it
                import_module(QUEUES[CELERY])
