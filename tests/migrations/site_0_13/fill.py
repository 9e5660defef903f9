"""``python fill.py``: create rows of every model, with each text of ``dirty`` as JSON once."""

import json
import os
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"

import django

django.setup()

from dirty import READABLE, UNSTORABLE
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction

from aa_stripe.models import (
    StripeCharge,
    StripeCoupon,
    StripeCustomer,
    StripeSubscription,
    StripeSubscriptionPlan,
    StripeWebhook,
)

START = datetime(2017, 6, 7, 12, 30, 15, 123456, tzinfo=timezone.utc)
TEXTS = [*READABLE.values(), *UNSTORABLE.values()]
ROWS = len(TEXTS)


def stripe_object(number):
    return {"id": f"obj_{number}", "object": "thing", "nested": {"list": [1, 2.5, None, True]}}


def fill():
    User.objects.bulk_create(User(username=f"user {number}") for number in range(5))
    users = list(User.objects.order_by("pk"))
    # Of a model that 0.14 no longer has.
    stale = ContentType.objects.create(app_label="aa_stripe", model="stripetoken")
    StripeCustomer.objects.bulk_create(
        StripeCustomer(
            user=users[number % 5],
            stripe_customer_id=f"cus_{number % 7}",
            is_active=number % 2 == 0,
            is_created_at_stripe=True,
            stripe_response=stripe_object(number),
            stripe_js_response={"id": f"tok_{number}"},
            sources=[{"id": f"card_{number}", "last4": "4242"}],
            default_source=f"card_{number}",
        )
        for number in range(ROWS)
    )
    customers = list(StripeCustomer.objects.defer("sources").order_by("pk"))
    StripeCoupon.objects.bulk_create(
        StripeCoupon(
            coupon_id=f"SALE{number % 3}",
            amount_off=Decimal("99999999.99") if number % 2 else None,
            percent_off=None if number % 2 else 100,
            currency="usd" if number % 2 else None,
            duration="repeating",
            duration_in_months=number,
            redeem_by=START if number % 2 else None,
            created=START + timedelta(days=number),
            is_deleted=number % 4 == 0,
            metadata={"number": str(number)},
            stripe_response=stripe_object(number),
        )
        for number in range(ROWS)
    )
    StripeSubscriptionPlan.objects.bulk_create(
        StripeSubscriptionPlan(
            source={"a": ["b"]},
            amount=2**62 + number,
            name=f"Złoty {number}",
            interval="month",
            statement_descriptor="My Company",
            is_created_at_stripe=number % 2 == 0,
            metadata={},
            stripe_response=stripe_object(number),
        )
        for number in range(ROWS)
    )
    StripeCharge.objects.bulk_create(
        StripeCharge(
            user=users[number % 5],
            customer=customers[number] if number % 3 else None,
            amount=None if number % 5 == 0 else 2**31 - 1 - number,
            amount_refunded=None if number % 4 == 0 else number,
            is_charged=number % 2 == 0,
            charge_attempt_failed=number % 6 == 5,
            is_manual_charge=number % 7 == 0,
            stripe_charge_id=f"ch_{number}" if number % 2 == 0 else "",
            description=f"Stuff “{number}”",
            comment="100 % \\ internal",
            content_type=stale if number % 2 else None,
            object_id=2**31 - 1 if number % 2 else None,
            statement_descriptor="My Company",
            stripe_response=stripe_object(number),
        )
        for number in range(ROWS)
    )
    plans, coupons = StripeSubscriptionPlan.objects, StripeCoupon.objects.all_with_deleted()
    StripeSubscription.objects.bulk_create(
        StripeSubscription(
            user=users[number % 5],
            customer=customers[number],
            plan_id=plan,
            coupon_id=coupon if number % 2 else None,
            stripe_subscription_id=f"sub_{number}",
            status="active",
            tax_percent=Decimal("9.99"),
            end_date=date(2020, 2, 29) if number % 2 else None,
            canceled_at=START if number % 3 else None,
            at_period_end=number % 4 == 0,
            metadata={},
            stripe_response=stripe_object(number),
        )
        for number, (plan, coupon) in enumerate(
            zip(
                plans.order_by("pk").values_list("pk", flat=True),
                coupons.order_by("pk").values_list("pk", flat=True),
                strict=True,
            )
        )
    )
    StripeWebhook.objects.bulk_create(
        StripeWebhook(
            id=f"evt_{number}",
            is_parsed=number % 3 > 0,
            parse_error="" if number % 5 else "Unable to parse webhook.",
            raw_data=stripe_object(number),
        )
        for number in range(ROWS)
    )


def soil():
    """Write each text into the JSON columns of one row, with SQL."""
    with transaction.atomic(), connection.cursor() as cursor:
        for table, columns in json_columns().items():
            cursor.execute(f"SELECT id FROM {table} ORDER BY id")
            ids = [pk for (pk,) in cursor.fetchall()]
            assignments = ", ".join(f"{column} = %s" for column in columns)
            cursor.executemany(
                f"UPDATE {table} SET {assignments} WHERE id = %s",
                [(*[text] * len(columns), pk) for text, pk in zip(TEXTS, ids, strict=True)],
            )


def json_columns():
    return json.loads(os.environ["JSON_COLUMNS"])


if __name__ == "__main__":
    fill()
    soil()
