"""What every row that mirrors a Stripe object has in common."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from model_utils.fields import AutoCreatedField, AutoLastModifiedField

from aa_stripe.settings import stripe_settings

if TYPE_CHECKING:
    from model_utils.tracker import FieldInstanceTracker

#: The label of the model that customers, charges and subscriptions belong to.
USER_MODEL = stripe_settings.user_model


#: Stripe may forget an idempotency key after 24 hours; four of them are kept as a margin.
#: https://docs.stripe.com/api/idempotent_requests
KEY_LIFETIME = timedelta(hours=20)


class StripeBasicModel(models.Model):
    """``stripe_response`` is Stripe's last answer about the object, as plain JSON."""

    created = AutoCreatedField(_("created"))
    updated = AutoLastModifiedField(_("updated"))
    stripe_response = models.JSONField(default=dict, blank=True)
    #: The row's name at Stripe: in idempotency keys and in metadata. Unlike the primary key it
    #: is never the same in two databases that share one Stripe account.
    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)

    class Meta:
        abstract = True

    def key_may_be_forgotten(self) -> bool:
        """Whether what was asked with the row's ``uuid`` as the key may be done once more."""
        return timezone.now() - self.created > KEY_LIFETIME


class SavesOnlyChanges(models.Model):
    """Saving an existing row writes only what was changed since it was read.

    So an object that somebody has been holding since before the row was charged never writes
    ``is_charged = False`` back when its ``comment`` is saved. Needs a ``FieldTracker`` named
    ``tracker`` on the class.
    """

    if TYPE_CHECKING:
        tracker: Callable[..., FieldInstanceTracker] | FieldInstanceTracker

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not args and not self._state.adding and not _is_explicit(kwargs):
            kwargs["update_fields"] = self.changed_fields() | {"updated"}
        super().save(*args, **kwargs)

    def changed_fields(self) -> set[str]:
        """The names of the fields that were changed since the row was read or saved."""
        return set(self.tracker.changed())  # type: ignore[union-attr]


def _is_explicit(kwargs: dict[str, Any]) -> bool:
    """Whether the caller of ``save()`` chose what is written."""
    return bool(kwargs.get("force_insert")) or kwargs.get("update_fields") is not None
