"""The app's start-up: settings of the SDK's own module, the system checks, webhook handlers."""

from __future__ import annotations

from contextlib import suppress

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules, import_string
from django.utils.translation import gettext_lazy as _


class AaStripeConfig(AppConfig):
    name = "aa_stripe"
    verbose_name = _("Stripe")
    # 0.14 had 32-bit ids; named here so that no project is asked to widen them.
    default_auto_field = "django.db.models.AutoField"

    def ready(self) -> None:
        from aa_stripe import checks, gateway  # noqa: F401 (checks register themselves)

        gateway.configure_sdk()
        autodiscover_modules("stripe_webhooks")
        self._introduce_celery_task()

    def _introduce_celery_task(self) -> None:
        """A worker of Celery's throws away the messages of a task that it was not told of."""
        from aa_stripe.settings import PROCESSOR_PATHS, stripe_settings

        if stripe_settings.WEBHOOK_PROCESSOR == "celery":
            with suppress(ImportError):  # which the system checks report
                import_string(PROCESSOR_PATHS["celery"])
