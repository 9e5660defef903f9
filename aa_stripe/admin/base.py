"""Base of the read-only pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.http import HttpRequest
from django.utils.html import format_html

from aa_stripe.gateway import without_secrets
from aa_stripe.models import USER_MODEL
from aa_stripe.money import format_money

if TYPE_CHECKING:
    Admin = admin.ModelAdmin[Any]
else:
    Admin = admin.ModelAdmin


class ReadOnlyBase:
    """A mixin for pages and inlines that show all fields of a row; JSON without secrets.

    As in 0.14, a subclass may name ``editable_fields``, and ``extra_fields`` to show as well.
    """

    extra = 0
    editable_fields: Sequence[str] = ()
    extra_fields: Sequence[Any] = ()
    opts: Any

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return ``False`` without editable fields; with some, Django's permissions control it."""
        may_change: Any = super()
        return bool(self.editable_fields) and may_change.has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Return all fields, JSON last."""
        fields = sorted(self.opts.concrete_fields, key=_is_json)
        return [*(self._shown(field) for field in fields), *self.extra_fields]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        shown = self.get_fields(request, obj)
        return [name for name in shown if name not in self.editable_fields]

    def _shown(self, field: models.Field[Any, Any]) -> str | Callable[[Any], str]:
        is_editable = field.name in self.editable_fields
        return indented(field.name) if _is_json(field) and not is_editable else field.name


class ReadOnlyAdmin(ReadOnlyBase, Admin):
    """The base of this app's pages. A subclass may define ``search_fields`` of its own."""

    # Counting all rows for each page of a search is slow in a large table.
    show_full_result_count = False
    list_per_page = 50


#: 0.14's name.
ReadOnly = ReadOnlyAdmin


def _is_json(field: models.Field[Any, Any]) -> bool:
    return isinstance(field, models.JSONField)


@cache  # Django compares the columns of a page by identity
def indented(name: str) -> Callable[[Any], str]:
    """Return a column that shows the JSON field ``name``, indented."""

    @admin.display(description=name.replace("_", " "))
    def show(row: models.Model) -> str:
        value = without_secrets(getattr(row, name))
        return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False))

    return show


def money(amount: int | None, currency: str) -> str:
    """Return ``amount`` (smallest currency unit) formatted for people."""
    return "-" if amount is None else format_money(amount, currency)


def user_search_fields() -> list[str]:
    """Return the search fields for a user that the project's user model has."""
    model = apps.get_model(USER_MODEL)
    wanted = {getattr(model, "USERNAME_FIELD", "name"), "email", "name"}
    return [f"user__{name}" for name in sorted(wanted) if _has_field(model, name)]


def _has_field(model: type[models.Model], name: str) -> bool:
    try:
        return isinstance(model._meta.get_field(name), models.CharField)
    except FieldDoesNotExist:
        return False
