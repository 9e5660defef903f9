"""A table is read in order, even if its rows change during the reading."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from aa_stripe.jobs.refresh import Keys
from aa_stripe.models import StripeWebhook
from aa_stripe.models import rows as rows_module
from aa_stripe.models.rows import in_order, oldest_first, stored
from tests.jobs.events import ids, store

User = get_user_model()
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(rows_module, "CHUNK_SIZE", 3)
    monkeypatch.setattr(rows_module, "SORTED_CHUNK_SIZE", 3)


@pytest.fixture
def users():
    return User.objects.bulk_create(User(username=f"user{number}") for number in range(7))


def names(rows):
    return [name for _, name in rows]


def test_rows_are_read_in_the_order_of_their_keys(users):
    found = list(in_order(User.objects.order_by("-username"), "username"))

    assert found == sorted((user.pk, user.username) for user in User.objects.all())
    assert len(found) == 7


@pytest.mark.parametrize("number", [0, 1, 3, 6])
def test_reading_ends_after_a_last_chunk_that_is_full_or_empty(number):
    User.objects.bulk_create(User(username=f"user{it}") for it in range(number))

    assert len(list(in_order(User.objects.all()))) == number


def test_a_row_that_is_added_meanwhile_is_not_read(users):
    found = in_order(User.objects.all(), "username")
    next(found)
    User.objects.create(username="late")

    assert "late" not in names(found)


def test_a_row_that_is_deleted_meanwhile_is_skipped(users):
    found = in_order(User.objects.all(), "username")
    first = next(found)
    User.objects.filter(username__in=["user4", "user6"]).delete()

    assert names([first, *found]) == ["user0", "user1", "user2", "user3", "user5"]


def test_a_row_that_no_longer_matches_is_skipped(users):
    found = in_order(User.objects.filter(is_active=True), "username")
    first = next(found)
    User.objects.filter(username="user4").update(is_active=False)

    assert names([first, *found]) == ["user0", "user1", "user2", "user3", "user5", "user6"]


def test_a_chunk_is_one_query(users, django_assert_num_queries):
    with django_assert_num_queries(1 + 3):  # the last key, and 3 + 3 + 1 rows
        list(in_order(User.objects.all()))


# By age


NOON = datetime(2026, 10, 1, 12, tzinfo=timezone.utc)


@pytest.fixture
def webhooks():
    """Seven webhooks, oldest first; the third to the sixth were created at the same moment."""
    minutes = [0, 1, 2, 2, 2, 2, 3]
    names = ["z", "y", "a", "b", "c", "d", "x"]
    made = {
        name: store(id=f"evt_{name}", created=NOON + timedelta(minutes=minute))
        for name, minute in reversed(list(zip(names, minutes, strict=True)))
    }
    return [made[name] for name in names]


def keys(rows):
    return [key for (key,) in rows]


def test_rows_are_read_in_the_order_of_their_age_and_then_of_their_keys(webhooks):
    assert keys(oldest_first(StripeWebhook.objects.all())) == ids(webhooks)


@pytest.mark.parametrize("number", [0, 1, 3, 6])
def test_reading_by_age_ends_after_a_last_chunk_that_is_full_or_empty(number):
    made = [store(created=NOON + timedelta(minutes=it)) for it in range(number)]

    assert keys(oldest_first(StripeWebhook.objects.all())) == ids(made)


def test_a_row_that_is_added_meanwhile_is_not_read_by_age(webhooks):
    found = oldest_first(StripeWebhook.objects.all())
    next(found)
    store(id="evt_late", created=NOON + timedelta(minutes=4))

    assert keys(found) == ids(webhooks[1:])


def test_a_row_that_is_deleted_or_settled_meanwhile_is_skipped_by_age(webhooks):
    found = oldest_first(StripeWebhook.objects.filter(is_parsed=False))
    next(found)
    webhooks[4].delete()
    StripeWebhook.objects.filter(pk=webhooks[6].pk).update(is_parsed=True)

    assert keys(found) == ids([webhooks[1], webhooks[2], webhooks[3], webhooks[5]])


def test_no_row_is_read_if_all_are_deleted_after_the_first_query(webhooks):
    queries = []

    def delete_after_the_first_query(execute, sql, params, many, context):
        result = execute(sql, params, many, context)
        queries.append(sql)
        if len(queries) == 1:
            StripeWebhook.objects.all().delete()
        return result

    found = oldest_first(StripeWebhook.objects.all())
    with connection.execute_wrapper(delete_after_the_first_query):
        assert keys(found) == []


def test_a_chunk_by_age_is_one_query(webhooks, django_assert_num_queries):
    with django_assert_num_queries(1 + 3):  # the newest, and 3 + 3 + 1 rows
        list(oldest_first(StripeWebhook.objects.all()))


# The database and the keys


def test_rows_are_read_from_the_database_that_they_are_written_to(settings):
    settings.DATABASE_ROUTERS = [ReadsFromReplica()]

    assert stored(User).db == "default"


class ReadsFromReplica:
    def db_for_read(self, model, **hints):
        return "replica"

    def db_for_write(self, model, **hints):
        return "default"


def test_keys_are_a_set():
    keys = Keys()
    for key in (1, 63, 64, 10_000_000, 1):
        keys.add(key)

    assert [key for key in range(130) if key in keys] == [1, 63, 64]
    assert 10_000_000 in keys
    assert 9_999_999 not in keys
