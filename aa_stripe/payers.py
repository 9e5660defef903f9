"""The payer of a request to the HTTP API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import ImproperlyConfigured
from django.db import models
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import NotAuthenticated, PermissionDenied
from rest_framework.request import Request

from aa_stripe.models import StripeCustomer
from aa_stripe.settings import stripe_settings

#: The packages whose methods a project has not overridden.
NOT_OF_PROJECT = ("aa_stripe.", "rest_framework.", "django.")


def payer_of(request: Request) -> models.Model:
    """Return the payer: what ``STRIPE_PAYER_FROM_REQUEST`` returns, by default ``request.user``.

    Raises ``PermissionDenied`` (403) for ``None``, ``NotAuthenticated`` (401 or 403) for an
    anonymous user, and ``ImproperlyConfigured`` if the payer is not an instance of
    ``STRIPE_USER_MODEL``.
    """
    path = stripe_settings.PAYER_FROM_REQUEST
    payer = import_string(path)(request) if path else request.user
    if payer is None:
        raise PermissionDenied(_("There is no payer for this request."))
    if isinstance(payer, AnonymousUser):
        raise NotAuthenticated
    user_model: Any = StripeCustomer._meta.get_field("user").related_model
    if isinstance(payer, user_model):
        return cast("models.Model", payer)
    raise ImproperlyConfigured(
        f"The payer of a request is a {type(payer).__name__}, not a {user_model._meta.label}: "
        "STRIPE_PAYER_FROM_REQUEST must name a function that returns one."
    )


def is_overridden(cls: type | None, names: Iterable[str]) -> bool:
    """Return whether the class gets one of these attributes from a class of the project."""
    classes = getattr(cls, "__mro__", ())
    owners = (next(it for it in classes if name in vars(it)) for name in names)
    return any(not owner.__module__.startswith(NOT_OF_PROJECT) for owner in owners)
