"""Rows that are not deleted while Stripe may still bill or pay for them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models import F
from django.db.models.signals import pre_delete

from aa_stripe.deletion import history_refusal, refusal
from aa_stripe.models.rows import own_row, root_model


class Protected(models.Model):
    """A model whose open rows are never deleted: not alone, in a queryset, or by a cascade.

    ``ProtectedError`` names those that would have been, and nothing is deleted.
    """

    #: The columns with Stripe's ids, the one that names the row best first.
    STRIPE_IDS: ClassVar[tuple[str, ...]] = ()

    #: The open rows that a cascade would have deleted together with this one.
    deleted_with: list[Any] | None = None

    class Meta:
        abstract = True

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # Of each class: a proxy, or a derived model, is a sender of its own.
        pre_delete.connect(_refuse, sender=cls)

    def is_open(self) -> bool:
        """Return whether Stripe may still bill or pay for the row."""
        raise NotImplementedError

    def is_history(self) -> bool:
        """Return whether the row records a payment, so that no cascade may delete it."""
        return False


def _refuse(instance: Any, using: str, origin: Any = None, **kwargs: Any) -> None:
    if instance.deleted_with:
        raise refusal(instance.deleted_with)
    # The object may be older than a call of another process, which must wait now, or has claimed
    # the row.
    stored = own_row(instance, using)
    stored.update(updated=F("updated"))  # locks the row, also on SQLite
    row = stored.select_for_update().first()
    if row is None:
        return
    is_cascade = origin is not None and not issubclass(_model_of(origin), root_model(instance))
    if is_cascade and row.is_history():
        raise history_refusal([row])
    if row.is_open():
        raise refusal(_open_rows_of(origin) or [row])


def _model_of(origin: Any) -> Any:
    """Return the model of what ``delete()`` was called on: an object, or a queryset."""
    return origin.model if isinstance(origin, models.QuerySet) else type(origin)


def _open_rows_of(origin: Any) -> list[Any]:
    """Return all open rows of a queryset that is deleted."""
    if not (isinstance(origin, models.QuerySet) and issubclass(origin.model, Protected)):
        return []
    return [it for it in origin.all() if it.is_open()]
