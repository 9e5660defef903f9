"""The rows to charge, in a database of the benchmark's own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth import get_user_model
from django.db import OperationalError, connection
from django.db.backends.utils import CursorWrapper

from aa_stripe.models import StripeCharge, StripeCustomer

#: How many customers the charges are spread over.
CUSTOMERS = 100

#: How many charges are made one by one; more are made by copying them.
ORIGINALS = 1000


@contextmanager
def database() -> Iterator[str]:
    """Create a database for the block, with tables and customers; yield its name."""
    before = connection.settings_dict["NAME"]
    try:
        connection.creation.create_test_db(verbosity=0, autoclobber=True)
    except OperationalError as error:
        sys.exit(f"The benchmark needs PostgreSQL: {error}")
    try:
        make_customers()
        yield connection.settings_dict["NAME"]
    finally:
        connection.creation.destroy_test_db(before, verbosity=0)


def ensure_customers() -> None:
    """Make the customers in a database that has none."""
    if not StripeCustomer.objects.exists():
        make_customers()


def make_users(number: int) -> list[Any]:
    user_model = get_user_model()
    first = user_model.objects.count()
    return user_model.objects.bulk_create(
        user_model(username=f"payer{it}") for it in range(first, first + number)
    )


def make_customers() -> None:
    users = make_users(CUSTOMERS)
    StripeCustomer.objects.bulk_create(
        StripeCustomer(
            user=user,
            stripe_customer_id=f"cus_{user.pk}",
            is_created_at_stripe=True,
            default_source=f"pm_{user.pk}",
            sources=[{"id": f"pm_{user.pk}", "object": "payment_method"}],
        )
        for user in users
    )


def clear() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {StripeCharge._meta.db_table} CASCADE")


def fill(pending: int) -> None:
    """Make ``pending`` rows to charge, and bring the statistics of the planner up to date."""
    customers = list(StripeCustomer.objects.all())
    originals = min(pending, ORIGINALS)
    StripeCharge.objects.bulk_create(
        StripeCharge(user_id=customer.user_id, customer=customer, amount=1000)
        for number in range(originals)
        for customer in [customers[number % CUSTOMERS]]
    )
    with connection.cursor() as cursor:
        copy_rows(cursor, pending - originals)
    analyze()


def analyze() -> None:
    """Bring the statistics of the planner up to date."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def copy_rows(cursor: CursorWrapper, number: int) -> None:
    """Add ``number`` copies of the rows; Django would take a minute for 100,000."""
    columns = {field.column for field in StripeCharge._meta.concrete_fields} - {"id", "uuid"}
    names, table = ", ".join(sorted(columns)), StripeCharge._meta.db_table
    cursor.execute(
        f"INSERT INTO {table} (uuid, {names}) "
        f"SELECT gen_random_uuid(), {names} FROM {table}, generate_series(1, %s) LIMIT %s",
        [number, number],
    )


def charged() -> int:
    return StripeCharge.objects.filter(is_charged=True).count()
