"""The fields and methods that the models share."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from model_utils.fields import AutoCreatedField, AutoLastModifiedField

from aa_stripe.fields import ExactUUIDField, PlainJSONField
from aa_stripe.settings import stripe_settings

#: The label of the model that customers, charges and subscriptions belong to.
USER_MODEL = stripe_settings.user_model


#: Stripe may discard idempotency keys after 24 hours; this leaves a margin of four hours.
#: https://docs.stripe.com/api/idempotent_requests
KEY_LIFETIME = timedelta(hours=20)


class StripeBasicModel(models.Model):
    """The base of a model that mirrors an object at Stripe, with the fields of 0.14.

    ``stripe_response`` is Stripe's last response about the object, as plain JSON. Models of a site
    may derive from it.
    """

    created = AutoCreatedField(_("created"))
    updated = AutoLastModifiedField(_("updated"))
    stripe_response = PlainJSONField(default=dict, blank=True)

    class Meta:
        abstract = True


class StripeObject(StripeBasicModel):
    """The base of this app's models: what it creates at Stripe is found by the ``uuid``."""

    #: Identifies the row at Stripe, in idempotency keys and in metadata. Unlike the primary key,
    #: it is unique across databases that share a Stripe account.
    uuid = ExactUUIDField(default=uuid.uuid4, unique=True, editable=False)

    class Meta:
        abstract = True

    def key_may_be_forgotten(self) -> bool:
        """Return whether Stripe may have discarded the idempotency key made of the ``uuid``.

        A request that is repeated with a discarded key may take effect a second time.
        """
        return timezone.now() - self.created > KEY_LIFETIME
