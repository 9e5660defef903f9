"""Which fields of an object differ from its row, so that ``save()`` writes only those.

Nothing is copied when an object is made: it keeps references to the values that were read. A value
of JSON can also be changed in place, but only by code that has read the attribute. So its text is
kept for comparison when the attribute is first read, and not for the many rows whose JSON is never
looked at.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

from django.db import models, transaction
from django.db.models.query_utils import DeferredAttribute
from django.db.models.signals import class_prepared
from django.dispatch import receiver

from aa_stripe.models.rows import database_of, has_commit

#: Internal types of the fields whose values can be changed in place.
CONTAINERS = frozenset({"JSONField", "ArrayField", "HStoreField"})


class Text(NamedTuple):
    """A list or dict as text, which stays as it is when the list or dict is changed."""

    text: str


class RemembersRow(models.Model):
    """A model whose objects know which of their fields differ from the row.

    The row is as the object has last read it or successfully saved it.
    """

    #: The row's values by ``attname``. Replaced, never changed: copies of an object share it.
    _stored: Mapping[str, Any] = {}

    class Meta:
        abstract = True

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> Any:
        row = super().from_db(*args, **kwargs)
        row.keep_as_read()
        return row

    def keep_as_read(self) -> None:
        """Take all loaded values as those of the row; nothing but the object may have them.

        So their texts are not needed yet.
        """
        self._stored = {name: self.__dict__[name] for name in self._loaded()}

    def refresh_from_db(  # type: ignore[override]  # Django 4.2 has no from_queryset
        self, using: str | None = None, fields: Iterable[str] | None = None, **kwargs: Any
    ) -> None:
        names = None if fields is None else list(fields)
        super().refresh_from_db(using, names, **kwargs)
        self._keep({name: self.__dict__[name] for name in self._loaded(names)})

    def changed_fields(self) -> set[str]:
        """Return the fields that differ from the row, by ``attname`` (``customer_id``).

        All of them for an unsaved object. The primary key and deferred fields are left out.
        """
        is_new = self._state.adding
        changed = {name for name in self._loaded() if is_new or self._is_changed(name)}
        return changed - {it.attname for it in self._meta.concrete_fields if it.primary_key}

    def stored_value(self, name: str) -> Any:
        """Return a copy of the row's value of the field ``name``; ``None`` if it was never read."""
        value = self._stored.get(name)
        return json.loads(value.text) if isinstance(value, Text) else value

    def keep_as_stored(self, fields: Iterable[str] | None = None, using: str | None = None) -> None:
        """Take the values of ``fields`` (``None``: all that are loaded) as those of the row.

        In a transaction they are taken at its commit: after a rollback the row has the old ones.
        ``using`` is the database they were written to, if it is not the usual one.
        """
        values = {name: self._comparable(name) for name in self._loaded(fields)}
        using = using or database_of(self)
        if has_commit(using):
            transaction.on_commit(partial(self._keep, values), using=using)
        else:
            self._keep(values)

    def save_base(self, *args: Any, **kwargs: Any) -> None:
        before = self._stored
        try:
            super().save_base(*args, **kwargs)
        except BaseException:
            self._stored = before  # another table, or a receiver, has failed
            raise

    def _save_table(
        self,
        raw: bool = False,
        cls: Any = None,
        force_insert: Any = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
    ) -> bool:
        """Write as Django does, then keep what was written.

        Overrides Django's method because ``save_base`` ends after the receivers of ``post_save``,
        which may change the object once more.
        """
        is_updated = super()._save_table(  # type: ignore[misc]
            raw, cls, force_insert, force_update, using, update_fields
        )
        self.keep_as_stored(update_fields, using)
        return cast("bool", is_updated)

    def _prepare_related_fields_for_save(
        self, operation_name: str, fields: Sequence[models.Field[Any, Any]] | None = None
    ) -> None:
        """Keep what ``bulk_create()`` is about to write, which calls no other method of ours."""
        super()._prepare_related_fields_for_save(operation_name, fields)  # type: ignore[misc]
        if operation_name == "bulk_create":
            self.keep_as_stored()

    def _keep(self, values: Mapping[str, Any]) -> None:
        self._stored = {**self._stored, **values}

    def _loaded(self, fields: Iterable[str] | None = None) -> list[str]:
        """Return the ``attname`` of each loaded field; ``fields`` limits them, by either name."""
        names = None if fields is None else frozenset(fields)
        return [
            it.attname
            for it in self._meta.concrete_fields
            if it.attname in self.__dict__
            and (names is None or it.name in names or it.attname in names)
        ]

    def _is_changed(self, name: str) -> bool:
        if name not in self._stored:
            return True
        value, stored = self.__dict__[name], self._stored[name]
        if value is stored:
            return False
        return bool(_as_text(value) != _as_text(stored))

    def _comparable(self, name: str) -> Any:
        value = self.__dict__[name]
        is_unread = self._stored.get(name) is value
        return value if is_unread else _as_text(value)

    def _keep_text(self, name: str, value: Any) -> None:
        """Keep the text of a value that is about to be handed out."""
        if self._stored.get(name) is value:
            self._stored = {**self._stored, name: _as_text(value)}


class SavesOnlyChanges(RemembersRow):
    """A model whose ``save()`` writes only the fields that differ from the row.

    An object read before its row was charged must not write ``is_charged = False`` back when only
    its ``comment`` is saved. A copy is written completely: with another primary key, or to another
    database. Needs a field ``updated`` that sets itself.
    """

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not args and not _is_explicit(kwargs) and self._is_row_in(kwargs.get("using")):
            kwargs["update_fields"] = self.changed_fields() | {"updated"}
        super().save(*args, **kwargs)

    def _is_row_in(self, using: str | None) -> bool:
        """Return whether the object is a row of the database that ``save(using=...)`` writes to."""
        if self._state.adding or not self._stored:
            return False
        # Not known after bulk_create(), which sets the key last.
        key = self._stored.get(self._meta.pk.attname)
        if key is not None and key != self.pk:
            return False
        # A row that was read from a replica is in the database that is written to as well.
        return using is None or using in {self._state.db, database_of(self)}


class WatchedAttribute(DeferredAttribute):
    """An attribute whose value can be changed in place once it was read."""

    field: models.Field[Any, Any]

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        value = super().__get__(instance, cls)
        if isinstance(value, (dict, list)):
            instance._keep_text(self.field.attname, value)
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        """Set the value. Without this method Python would not call ``__get__`` for set values."""
        instance.__dict__[self.field.attname] = value


@receiver(class_prepared)
def watch_containers(sender: type[models.Model], **_: Any) -> None:
    """Watch the fields of a new model, also of one that a site has derived from ours."""
    if not issubclass(sender, RemembersRow):
        return
    for field in sender._meta.local_concrete_fields:
        if field.get_internal_type() in CONTAINERS:
            setattr(sender, field.attname, WatchedAttribute(field))


def _as_text(value: Any) -> Any:
    """Return ``value`` as text if it is a list or dict, else ``value`` itself."""
    if not isinstance(value, (dict, list)):
        return value
    return Text(json.dumps(value, default=repr))


def _is_explicit(kwargs: dict[str, Any]) -> bool:
    """Return whether the caller of ``save()`` has chosen what is written."""
    return bool(kwargs.get("force_insert")) or kwargs.get("update_fields") is not None
