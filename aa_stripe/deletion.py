"""What is kept of a row when a row that it refers to is deleted.

The functions are the ``on_delete`` of foreign keys. Migrations contain them, so their names must
not change.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from django.db.models.deletion import Collector, ProtectedError

#: So many rows are named in an error.
MOST_NAMED = 5

Rows = Any  # a queryset, or a list of rows


def keep_user_key(collector: Collector, field: Any, rows: Rows, using: str) -> None:
    """Keep the rows without the user, and its primary key as text in ``user_key``."""
    owners = _grouped(field, rows, using)
    _keep(collector, field, "user_key", {key: str(key) for key in owners}, owners)


def keep_source_type(collector: Collector, field: Any, rows: Rows, using: str) -> None:
    """Keep the rows without the content type, and its name in ``source_type``."""
    types = _grouped(field, rows, using)
    found = field.related_model._base_manager.using(using).in_bulk(list(types))
    names = {key: f"{it.app_label}.{it.model}" for key, it in found.items()}
    _keep(collector, field, "source_type", names, types)


def keep_ended(collector: Collector, field: Any, rows: Rows, using: str) -> None:
    """Keep the ended rows without the foreign key; refuse the deletion because of others."""
    collector.add_field_update(field, None, _refusing_open(collector, field, rows, using))


def keep_ended_with_user_key(collector: Collector, field: Any, rows: Rows, using: str) -> None:
    """Keep the ended rows as ``keep_user_key`` does; refuse the deletion because of others."""
    keep_user_key(collector, field, _refusing_open(collector, field, rows, using), using)


def refusal(rows: list[Any]) -> ProtectedError:
    """Return the error that names ``rows``, which must not be deleted."""
    named = ", ".join(_name(it) for it in rows[:MOST_NAMED])
    more = len(rows) - MOST_NAMED
    if more > 0:
        named += f" and {more} more"
    return ProtectedError(
        f"These rows cannot be deleted, because Stripe may still bill or pay for them: {named}. "
        "StripeCustomer.close(user) ends what a user has at Stripe.",
        set(rows),
    )


def _name(row: Any) -> str:
    kind = row._meta.verbose_name
    stripe_id = next((it for it in map(row.__dict__.get, row.STRIPE_IDS) if it), "no id at Stripe")
    return f"{kind} {row.pk} ({stripe_id})"


def _refusing_open(collector: Collector, field: Any, rows: Rows, using: str) -> list[Any]:
    """Return the rows that have ended; have the deletion refused if there are others.

    Django replaces the text of an error raised here. So open rows join what is deleted, and
    ``Protected`` refuses to delete them, before anything is. A collector that only previews the
    deletion, as the admin's does, lists the protected rows of the error instead.
    """
    every = _complete(field, rows, using)
    opened = [it for it in every if it.is_open()]
    if not opened:
        return every
    if hasattr(collector, "protected"):
        raise refusal(opened)
    for row in opened:
        row.deleted_with = opened
    collector.add(opened)
    return [it for it in every if it not in opened]


def _complete(field: Any, rows: Rows, using: str) -> list[Any]:
    """Return the rows with all columns: Django has deferred most of them."""
    found = field.model._base_manager.using(using).filter(pk__in=[it.pk for it in rows])
    return list(found.order_by("pk"))


def _grouped(field: Any, rows: Rows, using: str) -> dict[Any, list[Any]]:
    """Return the rows by the primary key that the foreign key has."""
    groups = defaultdict(list)
    for row in _complete(field, rows, using):
        groups[getattr(row, field.attname)].append(row)
    return groups


def _keep(
    collector: Collector, field: Any, text: str, texts: dict[Any, str], groups: dict[Any, list[Any]]
) -> None:
    column: Any = field.model._meta.get_field(text)
    for key, rows in groups.items():
        collector.add_field_update(column, texts[key], rows)
        collector.add_field_update(field, None, rows)
