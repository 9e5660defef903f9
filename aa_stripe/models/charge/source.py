"""``source``: the row of the site's that a charge is for, with any kind of primary key."""

from __future__ import annotations

from typing import Any

from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.core.checks import CheckMessage
from django.core.exceptions import ValidationError
from django.db import models

from aa_stripe.deletion import keep_source_type
from aa_stripe.fields import ExactCharField
from aa_stripe.models.rows import database_of


class SourceField(GenericForeignKey):
    """A generic foreign key whose key is not a column, but ``source_pk``."""

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        found = super().check(**kwargs)
        return [it for it in found if it.id != "contenttypes.E001"]  # "not a field"


class HasSource(models.Model):
    """The ``source`` of a charge, and its columns.

    An integer is in ``object_id``, as in 0.14. Any other key is in ``source_key`` as text; if it is
    text that ``object_id`` can hold, also there, where 0.14 had it.
    """

    content_type = models.ForeignKey(ContentType, on_delete=keep_source_type, blank=True, null=True)
    #: "app_label.model" once the content type is deleted.
    source_type = models.CharField(max_length=255, blank=True, default="", editable=False)
    object_id = models.PositiveBigIntegerField(blank=True, null=True, db_index=True)
    #: The primary key of ``source`` as text, if it is not an integer.
    source_key = ExactCharField(max_length=255, blank=True, default="")
    source = SourceField("content_type", "source_pk")
    # A site's GenericRelation needs a generic foreign key with the column that it names.
    _source_by_integer = GenericForeignKey("content_type", "object_id")
    _source_by_text = GenericForeignKey("content_type", "source_key")

    class Meta:
        abstract = True

    @property
    def source_pk(self) -> Any:
        """The primary key of ``source``: an integer, a UUID or text; ``None`` without a source.

        Also ``None`` if code that knows only one of the columns has changed that one, so that they
        are the keys of two rows.
        """
        row: Any = self
        named = [it for it in (row.object_id, row.source_key) if it is not None and it != ""]
        model = _model_of(row)
        keys = [_key(model, it) for it in named] if model else named
        found = [it for it in keys if it is not None]
        return found[0] if found and all(it == found[0] for it in found) else None

    @source_pk.setter
    def source_pk(self, key: Any) -> None:
        row: Any = self
        is_text = key is not None and not isinstance(key, int)
        row.object_id = _as_integer(str(key)) if is_text else key
        row.source_key = str(key) if is_text else ""


def _model_of(row: Any) -> type[models.Model] | None:
    """Return the model of ``source``; ``None`` without a content type, or if it is stale."""
    if row.content_type_id is None:
        return None
    types = ContentType.objects.db_manager(database_of(row))
    return types.get_for_id(row.content_type_id).model_class()


def _key(model: type[models.Model], column: Any) -> Any:
    """Return the column's value as a primary key of the model, or ``None`` if it cannot be one."""
    field: Any = model._meta.pk
    try:
        key = field.to_python(str(column))
    except (ValidationError, ValueError):
        return None
    # An integer in the column for text was left by the source before this one.
    return None if isinstance(key, int) and not isinstance(column, int) else key


def _as_integer(text: str) -> int | None:
    """Return the integer whose text that is, if ``object_id`` can hold it."""
    if not (text.isascii() and text.isdigit()):
        return None
    number = int(text)
    is_same = str(number) == text and number <= models.BigIntegerField.MAX_BIGINT
    return number if is_same else None
