"""What the flows need of a site, whatever its settings are."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connections
from django.http import HttpResponse
from django.test import Client

from tests.matrix.router import REPLICA
from tests.support.clients import signed_in

numbers = count(1)

#: What the next request to the view ``act`` does.
to_do: list[Any] = []


def catch_up():
    """Copy every row to the replica, if the site has one."""
    if REPLICA in connections:
        for alias in ("default", REPLICA):
            connections[alias].ensure_connection()
        connections["default"].connection.backup(connections[REPLICA].connection)


@dataclass
class Person:
    """A user, the payer for the user, which may be the same, and a client that is signed in."""

    user: Any
    payer: Any

    @property
    def api(self):
        return signed_in(self.user)


def new_person(**fields):
    user = get_user_model().objects.create_user(f"person{next(numbers)}", **fields)
    payer = office_of(user) if getattr(settings, "STRIPE_USER_MODEL", None) else user
    catch_up()  # the sign-up was a while ago
    return Person(user, payer)


def office_of(user):
    # Not imported: the process that starts those of the matrix does not have the app.
    return apps.get_model("accounts.Office").objects.create(name=f"Office of {user}", user=user)


def staff():
    """Return a client of a superuser who has been signed in for a while."""
    person = new_person(is_staff=True, is_superuser=True, email="staff@example.com")
    client = Client()
    client.force_login(person.user)
    catch_up()
    return client


def stored(instance):
    """Return a new object read from the instance's row, in the database that is written to."""
    return type(instance)._base_manager.using("default").get(pk=instance.pk)


def every(model):
    """Return all rows of the model, in the database that is written to."""
    return model._base_manager.using("default")


def act(request):
    """Do what a test has asked for, as a view of the site does it."""
    to_do.pop()()
    return HttpResponse()


def in_view(function):
    """Call the function in a request to the site; raise what it raises."""
    to_do.append(function)
    assert Client().post("/act/").status_code == 200
