"""``refresh_customers --all`` compares all customers with Stripe's listing."""

from __future__ import annotations

from datetime import timedelta

import pytest
import stripe
from django.db import DatabaseError, connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from aa_stripe import gateway
from aa_stripe.jobs import customers, objects, refresh_customers
from aa_stripe.models import StripeCustomer
from aa_stripe.models.customer import refresh as customer_refresh
from aa_stripe.testing import FakeStripe, Fault
from tests.support.builders import make_customer, make_user
from tests.support.requests import fail_second_page, requests_to, when_done
from tests.support.statements import statements

LIST = "GET /v1/customers"
METHODS = "GET /v1/customers/*/payment_methods"
RETRIEVE = "GET /v1/customers/*"

pytestmark = pytest.mark.django_db


@pytest.fixture
def many(db, fake):
    """``many(250)`` creates customers at Stripe, each with a row that has only the id."""

    def many(number, **fields):
        user = make_user()
        return StripeCustomer.objects.bulk_create(
            StripeCustomer(user=user, stripe_customer_id=made["id"], **fields)
            for made in (fake.account.add("customer") for _ in range(number))
        )

    return many


def add_card(customer, token="tok_mastercard"):
    """Give the customer a card at Stripe and make it the default there."""
    method = stripe.PaymentMethod.create(type="card", card={"token": token})
    stripe.PaymentMethod.attach(method.id, customer=customer.stripe_customer_id)
    stripe.Customer.modify(
        customer.stripe_customer_id, invoice_settings={"default_payment_method": method.id}
    )
    return method.id


# Updating


def test_a_card_added_at_stripe_is_stored(customer, run):
    method = add_card(customer)

    ran = run("refresh_customers", "--all")

    customer.refresh_from_db()
    assert customer.default_source == method
    assert len(customer.sources) == 2
    assert customer.default_source_data["card"]["brand"] == "mastercard"
    assert (ran.status, ran.stdout) == (0, "updated: 1\n")


def test_the_time_of_the_update_is_stored(customer, run):
    StripeCustomer.objects.update(updated=F("updated") - timedelta(days=1))
    customer.refresh_from_db()
    before = customer.updated
    add_card(customer)

    run("refresh_customers", "--all")

    customer.refresh_from_db()
    assert customer.updated > before + timedelta(hours=23)


def test_legacy_cards_are_stored_too(db, run):
    with FakeStripe(allow_card_tokens=True):
        made = stripe.Customer.create(source="tok_visa")
        row = StripeCustomer.objects.create(user=make_user(), stripe_customer_id=made.id)
        method = add_card(row)

        run("refresh_customers", "--all")

    row.refresh_from_db()
    assert {it["id"] for it in row.sources} == {made.default_source, method}
    assert row.default_source == method


def test_a_customer_that_did_not_change_is_not_written(customer, run):
    run("refresh_customers", "--all")
    before = StripeCustomer.objects.values().get()

    ran = run("refresh_customers", "--all")

    assert ran.stdout == "unchanged: 1\n"
    assert StripeCustomer.objects.values().get() == before


def test_rows_of_one_customer_are_all_refreshed_with_one_request(customer, fake, run):
    twin = StripeCustomer.objects.create(
        user=make_user(), stripe_customer_id=customer.stripe_customer_id, is_active=False
    )
    method = add_card(customer)

    ran = run("refresh_customers", "--all")

    twin.refresh_from_db()
    assert twin.default_source == method
    assert not twin.is_active
    assert ran.stdout == "updated: 2\n"
    assert len(requests_to(fake, METHODS)) == 1


def test_customers_that_are_only_at_stripe_cost_no_request(customer, fake, run):
    for _ in range(3):
        fake.account.add("customer")

    ran = run("refresh_customers", "--all")

    assert "skipped (only at Stripe): 3\n" in ran.stdout
    assert len(requests_to(fake, METHODS)) == 1
    assert StripeCustomer.objects.count() == 1


def test_rows_without_a_stripe_id_are_ignored(fake, run):
    StripeCustomer.objects.create(user=make_user())

    ran = run("refresh_customers", "--all")

    assert ran.stdout == ""
    assert len(fake.requests) == 1


# Pages


@pytest.mark.parametrize(("number", "pages"), [(99, 1), (100, 1), (101, 2), (250, 3)])
def test_every_page_is_read(many, fake, run, number, pages):
    many(number)

    ran = run("refresh_customers", "--all")

    assert ran.stdout == f"updated: {number}\n"
    assert not StripeCustomer.objects.filter(stripe_response={}).exists()
    assert len(requests_to(fake, LIST)) == pages
    assert len(requests_to(fake, METHODS)) == number
    assert len(requests_to(fake, RETRIEVE)) == number  # each differs from its row
    assert len(fake.requests) == pages + 2 * number


def test_a_customer_that_did_not_change_costs_one_request(many, fake, run):
    many(150)
    run("refresh_customers", "--all")
    fake.requests.clear()

    run("refresh_customers", "--all")

    assert len(fake.requests) == 2 + 150


@pytest.mark.parametrize("number", [3, 100])
def test_each_changed_row_is_one_statement(many, number):
    many(number)

    with CaptureQueriesContext(connection) as captured:
        refresh_customers(everything=True)

    page, unlisted = 1, 2
    assert len(statements(captured)) == page + unlisted + number
    assert StripeCustomer.objects.exclude(stripe_response={}).count() == number


def test_a_page_without_changes_is_one_query(many):
    many(100)
    refresh_customers(everything=True)

    with CaptureQueriesContext(connection) as captured:
        refresh_customers(everything=True)

    rows, unlisted = 1, 2  # the last key, the rows: all of them were seen
    assert len(statements(captured)) == rows + unlisted


# Failures


def test_a_failing_customer_is_reported_and_does_not_stop_the_run(many, fake, run, caplog):
    rows = many(3)
    fake.fail_next(METHODS, Fault.ERROR_500_BEFORE)  # the newest is listed first

    ran = run("refresh_customers", "--all")

    assert ran.status == 1
    assert "updated: 2\n" in ran.stdout
    assert f"Exception happened\nCustomer id: {rows[2].pk}\nTraceback " in ran.stdout
    assert ran.stdout.endswith("failed: 1\n")
    assert [it.getMessage() for it in caplog.records if it.name == "aa-stripe"] == [
        f"Exception happened. Customer id: {rows[2].pk}"
    ]
    rows[2].refresh_from_db()
    assert rows[2].stripe_response == {}


def test_a_customer_that_is_only_partly_updated_is_not_written(many, run, monkeypatch):
    [row] = many(1)

    def values_of(row, description):
        row.stripe_response = {"id": row.stripe_customer_id}
        raise KeyError("id")

    monkeypatch.setattr(customer_refresh, "values_of", values_of)

    ran = run("refresh_customers", "--all")

    assert ran.status == 1
    row.refresh_from_db()
    assert row.stripe_response == {}


def test_a_listing_that_breaks_off_keeps_what_was_read(many, fake, run):
    many(150)
    deleted = make_customer()
    fake.dashboard_delete_customer(deleted.stripe_customer_id)
    fake.requests.clear()
    fail_second_page(fake, LIST)

    ran = run("refresh_customers", "--all")

    assert ran.status == 1
    assert "updated: 100\n" in ran.stdout
    assert "Exception happened\nThe listing of Stripe's customers\nTraceback " in ran.stdout
    assert StripeCustomer.objects.filter(stripe_response={}).count() == 50
    deleted.refresh_from_db()
    assert deleted.is_active
    assert f"/v1/customers/{deleted.stripe_customer_id}" not in [it.path for it in fake.requests]


def test_a_listing_that_does_not_begin_fails(customer, fake, run):
    fake.fail_next(LIST, Fault.REQUEST_LOST)

    ran = run("refresh_customers", "--all")

    assert ran.status == 1
    assert ran.stdout.endswith("failed: 1\n")
    assert len(fake.requests) == 1


@pytest.mark.parametrize("key", ["sk_wrong", ""])
def test_a_refused_key_fails_at_once(customer, fake, run, settings, key):
    settings.STRIPE_API_KEY = key

    ran = run("refresh_customers", "--all")

    assert ran.status == 1
    assert ran.stdout.endswith("failed: 1\n")
    assert len(fake.requests) <= 1


def test_a_key_without_permission_to_read_cards_ends_the_run_early(many, fake, run):
    many(10)

    def forbid(request):
        if request.path.endswith("/payment_methods"):
            request.headers["authorization"] = "Bearer pk_test_publishable"

    fake.before_request.append(forbid)

    ran = run("refresh_customers", "--all")

    assert ran.status == 1
    assert "Stopped early: Stripe rejected the API key" in ran.stdout
    assert len(requests_to(fake, METHODS)) == 3


def test_a_row_that_the_database_rejects_does_not_stop_the_run(
    transactional_db, many, run, monkeypatch
):
    rows = many(3)
    fail_to_write(monkeypatch, rows[1].pk)

    ran = run("refresh_customers", "--all")

    assert ran.status == 1
    assert "updated: 2\n" in ran.stdout
    assert f"Exception happened\nCustomer id: {rows[1].pk}\nTraceback " in ran.stdout
    assert StripeCustomer.objects.filter(stripe_response={}).get() == rows[1]


def fail_to_write(monkeypatch, pk):
    def write_newer(row, version, values):
        if row.pk == pk:
            raise DatabaseError("unsupported Unicode escape sequence")
        return original(row, version, values)

    original = objects.write_newer
    monkeypatch.setattr(objects, "write_newer", write_newer)


# Rows that change meanwhile


def set_default(customer, method_id):
    """Change the default at Stripe and in the row, as a PATCH in another process does."""
    stripe.Customer.modify(
        customer.stripe_customer_id, invoice_settings={"default_payment_method": method_id}
    )
    StripeCustomer.objects.get(pk=customer.pk).refresh_from_stripe()


@pytest.mark.parametrize("endpoint", [LIST, METHODS, RETRIEVE])
def test_what_stripe_said_last_is_stored_if_another_process_writes_meanwhile(
    customer, fake, run, endpoint
):
    first = StripeCustomer.objects.get().default_source
    add_card(customer)
    fake.requests.clear()
    when_done(fake, endpoint, lambda: set_default(customer, first))

    ran = run("refresh_customers", "--all")

    customer.refresh_from_db()
    assert customer.default_source == first
    assert len(customer.sources) == 2
    assert ran.status == 0


def test_a_change_between_the_listing_and_the_reading_of_the_rows_is_not_overwritten(
    customer, fake, run
):
    newest = add_card(customer)
    customer.refresh_from_stripe()
    older = customer.sources[-1]["id"]
    set_default(customer, older)
    when_done(fake, LIST, lambda: set_default(customer, newest))

    run("refresh_customers", "--all")

    customer.refresh_from_db()
    assert customer.default_source == newest


def test_a_row_that_is_deleted_meanwhile_is_skipped(customer, fake, run):
    add_card(customer)
    fake.after_request.append(lambda request, response: StripeCustomer.objects.all().delete())

    ran = run("refresh_customers", "--all")

    assert ran.status == 0
    assert StripeCustomer.objects.count() == 0
    assert "failed" not in ran.stdout


def test_the_other_row_of_a_customer_is_refreshed_if_one_is_deleted_meanwhile(customer, fake, run):
    twin = StripeCustomer.objects.create(
        user=make_user(), stripe_customer_id=customer.stripe_customer_id
    )
    method = add_card(customer)
    when_done(fake, METHODS, lambda: StripeCustomer.objects.filter(pk=customer.pk).delete())

    ran = run("refresh_customers", "--all")

    twin.refresh_from_db()
    assert twin.default_source == method
    assert ran.stdout == f"updated: 1\nskipped ({objects.DELETED_MEANWHILE}): 1\n"


# Customers that Stripe's listing does not contain


def test_a_customer_deleted_at_stripe_is_deactivated(many, fake, run):
    kept, deleted = many(2)
    fake.dashboard_delete_customer(deleted.stripe_customer_id)

    ran = run("refresh_customers", "--all")

    deleted.refresh_from_db()
    assert not deleted.is_active
    assert deleted.stripe_response["deleted"]
    assert ran.stdout == f"updated: 1\n{customers.DEACTIVATED}: 1\n"
    kept.refresh_from_db()
    assert kept.is_active


def test_a_deactivated_customer_is_not_retrieved_again(many, fake, run):
    [deleted] = many(1)
    fake.dashboard_delete_customer(deleted.stripe_customer_id)
    run("refresh_customers", "--all")
    fake.requests.clear()

    run("refresh_customers", "--all")

    assert [it.path for it in fake.requests] == ["/v1/customers"]


def test_the_cards_of_a_deleted_customer_stay_stored(customer, fake, run):
    fake.dashboard_delete_customer(customer.stripe_customer_id)

    run("refresh_customers", "--all")

    customer.refresh_from_db()
    assert not customer.is_active
    assert len(customer.sources) == 1


def test_a_deleted_customer_with_two_rows_is_retrieved_once(many, fake, run):
    [deleted] = many(1)
    twin = StripeCustomer.objects.create(
        user=make_user(), stripe_customer_id=deleted.stripe_customer_id
    )
    fake.dashboard_delete_customer(deleted.stripe_customer_id)

    ran = run("refresh_customers", "--all")

    twin.refresh_from_db()
    assert not twin.is_active
    assert ran.stdout == f"{customers.DEACTIVATED}: 2\n"
    assert len(requests_to(fake, RETRIEVE)) == 1


def test_a_customer_that_is_unknown_to_stripe_stays_unchanged(customer, fake, run):
    unknown = StripeCustomer.objects.create(user=make_user(), stripe_customer_id="cus_ofAnother")

    ran = run("refresh_customers", "--all")

    unknown.refresh_from_db()
    assert unknown.is_active
    assert (ran.status, ran.stdout) == (0, "unchanged: 1\nskipped (unknown to Stripe): 1\n")


def test_a_customer_whose_retrieval_fails_stays_unchanged(many, fake, run):
    first, second = many(2)
    fake.dashboard_delete_customer(first.stripe_customer_id)
    fake.dashboard_delete_customer(second.stripe_customer_id)
    fake.fail_next(RETRIEVE, Fault.ERROR_500_BEFORE)

    ran = run("refresh_customers", "--all")

    assert ran.status == 1
    assert f"Exception happened\nCustomer id: {first.pk}\n" in ran.stdout
    assert set(StripeCustomer.objects.filter(is_active=True)) == {first}


def test_a_customer_that_the_listing_missed_is_refreshed(many, fake, run, monkeypatch):
    [row] = many(1)
    monkeypatch.setattr(gateway, "customers", lambda: iter(()))

    ran = run("refresh_customers", "--all")

    row.refresh_from_db()
    assert row.is_active
    assert row.stripe_response["id"] == row.stripe_customer_id
    assert ran.stdout == "updated: 1\n"


def test_a_row_that_is_created_during_the_listing_is_not_retrieved(customer, fake, run):
    def create(request, response):
        if request.path == "/v1/customers":
            StripeCustomer.objects.create(user=make_user(), stripe_customer_id="cus_ofNow")

    fake.after_request.append(create)

    ran = run("refresh_customers", "--all")

    assert ran.stdout == "unchanged: 1\n"
    assert requests_to(fake, RETRIEVE) == []
    assert StripeCustomer.objects.get(stripe_customer_id="cus_ofNow").is_active


def test_customers_that_the_listing_does_not_contain_are_read_by_page(many, fake):
    for row in many(150):
        fake.dashboard_delete_customer(row.stripe_customer_id)

    with CaptureQueriesContext(connection) as captured:
        refresh_customers(everything=True)

    assert not StripeCustomer.objects.filter(is_active=True).exists()
    keys, pages = 2, 2
    version_and_write = 2
    assert len(statements(captured)) == keys + pages + version_and_write * 150


# Options


def test_a_dry_run_reads_and_writes_nothing(many, fake, run):
    kept, deleted = many(2)
    add_card(kept)
    fake.dashboard_delete_customer(deleted.stripe_customer_id)
    before = list(StripeCustomer.objects.values())
    fake.requests.clear()

    with CaptureQueriesContext(connection) as captured:
        ran = run("refresh_customers", "--all", "--dry-run")

    assert ran.stdout == f"would be updated: 1\n{customers.WOULD[customers.DEACTIVATED]}: 1\n"
    assert list(StripeCustomer.objects.values()) == before
    assert all(sql.startswith("SELECT") for sql in statements(captured))
    assert {request.method for request in fake.requests} == {"GET"}


def test_a_limit_is_the_number_of_customers_that_are_refreshed(many, fake, run):
    rows = many(5)
    fake.dashboard_delete_customer(rows[0].stripe_customer_id)

    ran = run("refresh_customers", "--all", "--limit", "2")

    assert ran.stdout == "updated: 2\n"
    assert set(StripeCustomer.objects.exclude(stripe_response={})) == {rows[3], rows[4]}
    assert len(requests_to(fake, METHODS)) == 2
    assert {it.path for it in requests_to(fake, RETRIEVE)} == {
        f"/v1/customers/{row.stripe_customer_id}" for row in rows[3:]
    }


def test_a_limit_ends_the_listing(many, fake, run):
    many(150)

    run("refresh_customers", "--all", "--limit", "2")

    assert len(requests_to(fake, LIST)) == 1


def test_the_rate_is_passed_to_the_job(customer, run, monkeypatch):
    rates, at_rate = [], objects.at_rate
    monkeypatch.setattr(objects, "at_rate", lambda rate: rates.append(rate) or at_rate(rate))

    run("refresh_customers", "--all", "--rate", "250")

    assert rates == [250]
