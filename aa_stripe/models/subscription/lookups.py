"""Finding the rows of subscriptions at Stripe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.db import models

from aa_stripe.events import object_of
from aa_stripe.models.rows import stored
from aa_stripe.models.subscription.subscribe import UUID_KEY
from aa_stripe.utils import uuid_in

if TYPE_CHECKING:
    from aa_stripe.models.subscription.model import StripeSubscription


class Lookups(models.Model):
    """The lookups of ``StripeSubscription``."""

    class Meta:
        abstract = True

    @classmethod
    def of_stripe(cls, subscription: Mapping[str, Any]) -> models.QuerySet[StripeSubscription]:
        """Return the subscription's rows: by Stripe's id, else by the ``uuid`` in the metadata."""
        return cls._of_ids([subscription["id"]], list(_ids_by_uuid([subscription])))

    @classmethod
    def of_each(
        cls, subscriptions: Sequence[Mapping[str, Any]]
    ) -> Iterator[tuple[str, StripeSubscription]]:
        """Yield Stripe's id and each row of the subscriptions, as ``of_stripe`` finds them."""
        by_uuid = _ids_by_uuid(subscriptions)
        for row in cls._of_ids([it["id"] for it in subscriptions], list(by_uuid)):
            yield row.stripe_subscription_id or by_uuid[row.uuid], row

    @staticmethod
    def uuid_of(subscription: Mapping[str, Any]) -> UUID | None:
        """Return the ``uuid`` of the row in the subscription's metadata, else ``None``."""
        return uuid_in(subscription.get("metadata"), UUID_KEY)

    @staticmethod
    def named_in(event: Any) -> dict[str, Any]:
        """Return the id of the event's subscription and the ``uuid`` of its row, for ``of_each``.

        Raises ``StripeWebhookParseError`` if the event is not as Stripe renders it.
        """
        subscription = object_of(event)
        uuid = subscription.metadata.get(UUID_KEY, "")
        return {"id": subscription.id, "metadata": {UUID_KEY: uuid}}

    @classmethod
    def _of_ids(cls, ids: list[str], uuids: list[UUID]) -> models.QuerySet[StripeSubscription]:
        is_one = models.Q(stripe_subscription_id__in=ids)
        if uuids:
            is_one |= models.Q(uuid__in=uuids, stripe_subscription_id="")
        return stored(_model(cls)).filter(is_one).order_by("pk")


def _ids_by_uuid(subscriptions: Iterable[Mapping[str, Any]]) -> dict[UUID, str]:
    """Return Stripe's id of each subscription with the ``uuid`` of a row in its metadata."""
    found = ((Lookups.uuid_of(it), it["id"]) for it in subscriptions)
    return {uuid: stripe_id for uuid, stripe_id in found if uuid is not None}


def _model(cls: type[Lookups]) -> type[StripeSubscription]:
    return cast("type[StripeSubscription]", cls)
