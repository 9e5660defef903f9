"""A table is gone through in order, whatever happens to it meanwhile."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model

from aa_stripe.jobs import rows as rows_module
from aa_stripe.jobs.rows import Keys, in_order
from aa_stripe.models.locking import stored

User = get_user_model()
pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(rows_module, "CHUNK_SIZE", 3)


@pytest.fixture
def users():
    return User.objects.bulk_create(User(username=f"user{number}") for number in range(7))


def names(rows):
    return [name for _, name in rows]


def test_every_row_comes_in_the_order_of_its_key(users):
    found = list(in_order(User.objects.order_by("-username"), "username"))

    assert found == sorted((user.pk, user.username) for user in User.objects.all())
    assert len(found) == 7


@pytest.mark.parametrize("number", [0, 1, 3, 6])
def test_a_last_chunk_that_is_full_or_empty_is_the_end(number):
    User.objects.bulk_create(User(username=f"user{it}") for it in range(number))

    assert len(list(in_order(User.objects.all()))) == number


def test_what_is_added_meanwhile_is_not_reached(users):
    found = in_order(User.objects.all(), "username")
    next(found)
    User.objects.create(username="late")

    assert "late" not in names(found)


def test_what_vanishes_meanwhile_is_passed_over(users):
    found = in_order(User.objects.all(), "username")
    first = next(found)
    User.objects.filter(username__in=["user4", "user6"]).delete()

    assert names([first, *found]) == ["user0", "user1", "user2", "user3", "user5"]


def test_what_no_longer_fits_is_passed_over(users):
    found = in_order(User.objects.filter(is_active=True), "username")
    first = next(found)
    User.objects.filter(username="user4").update(is_active=False)

    assert names([first, *found]) == ["user0", "user1", "user2", "user3", "user5", "user6"]


def test_a_chunk_is_one_query(users, django_assert_num_queries):
    with django_assert_num_queries(1 + 3):  # the last key, and 3 + 3 + 1 rows
        list(in_order(User.objects.all()))


def test_rows_are_read_where_they_are_written(settings):
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
