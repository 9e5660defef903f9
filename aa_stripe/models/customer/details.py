"""The details of a user at Stripe: the e-mail address, the name, and what the project adds.

https://docs.stripe.com/api/customers/object
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models
from django.utils.module_loading import import_string

from aa_stripe.settings import stripe_settings

#: In the metadata of every customer: the ``uuid`` of its row.
UUID_KEY = "aa_stripe_customer_uuid"

#: Maximum length of a customer's name at Stripe, in characters.
MAX_NAME = 256


def customer_data(user: models.Model) -> dict[str, Any]:
    """Return the e-mail address and the name of ``user``, as parameters of Stripe's customer.

    The default of ``STRIPE_CUSTOMER_DATA``; a function of your own can extend what it returns. The
    keys are ``email`` and ``name``. A key is missing if the user's model has no such data or it is
    blank, and ``email`` also if Django's ``validate_email`` rejects the address.
    """
    found = {"email": _email_of(user), "name": _name_of(user)}
    return {name: value for name, value in found.items() if value}


def details_of(user: models.Model) -> dict[str, Any]:
    """Return what ``STRIPE_CUSTOMER_DATA`` says about the user, without what is ours.

    The description and the row's ``uuid`` in the metadata are ours. An empty text means that Stripe
    is to delete the value. Metadata is never empty: Stripe would delete all of it.
    """
    path = stripe_settings.CUSTOMER_DATA
    data = import_string(path)(user) if path else customer_data(user)
    known = {name: value for name, value in data.items() if value is not None}
    known.pop("description", None)
    metadata = {**(known.pop("metadata", None) or {})}
    metadata.pop(UUID_KEY, None)
    return {**known, "metadata": metadata} if metadata else known


def _email_of(user: Any) -> str:
    field = user.get_email_field_name() if hasattr(user, "get_email_field_name") else "email"
    email = str(getattr(user, field, None) or "").strip()
    try:
        validate_email(email)
    except ValidationError:
        return ""
    return email


def _name_of(user: Any) -> str:
    name = user.get_full_name() if hasattr(user, "get_full_name") else ""
    return str(name or "").strip()[:MAX_NAME]
