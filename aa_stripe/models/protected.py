"""Rows that are not deleted while Stripe may still bill or pay for them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.db.models.signals import pre_delete

from aa_stripe.deletion import refusal


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


def _refuse(instance: Any, origin: Any = None, **kwargs: Any) -> None:
    if not instance.is_open():
        return
    rows = instance.deleted_with or [instance]
    if isinstance(origin, models.QuerySet) and isinstance(instance, origin.model):
        rows = [it for it in origin.all() if it.is_open()]
    raise refusal(rows)
