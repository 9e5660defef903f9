"""The start-up of the app: the SDK's settings, system checks, webhook handlers."""

from __future__ import annotations

from contextlib import suppress

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules, import_string
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
        self._register_celery_task()

    def _register_celery_task(self) -> None:
        """Import our Celery task, because a worker discards messages for unknown tasks."""
        from aa_stripe.settings import PROCESSOR_PATHS, stripe_settings

        if stripe_settings.WEBHOOK_PROCESSOR == "celery":
            with suppress(ImportError):  # the system checks report it
                import_string(PROCESSOR_PATHS["celery"])
