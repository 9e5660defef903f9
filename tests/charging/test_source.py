"""``source`` refers to any row of the site's, whatever the kind of its primary key."""

from __future__ import annotations

import json
import uuid

import pytest
from django.contrib.admin.sites import site
from django.contrib.contenttypes.admin import GenericTabularInline
from django.contrib.contenttypes.models import ContentType
from django.core import serializers
from django.core.checks import run_checks
from django.core.management import call_command
from django.urls import reverse

from aa_stripe.models import StripeCharge
from tests.orders.models import Invoice, Order, Ticket
from tests.support.builders import make_charge, make_user
from tests.support.payments import intent_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fake")]

#: Rows of each kind of primary key, with their ``object_id`` and ``source_key``.
KEY = uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")
BIGGEST = 2**63 - 1
KINDS = [
    pytest.param(Ticket, 7, 7, "", id="integer"),
    pytest.param(Order, KEY, None, str(KEY), id="uuid"),
    pytest.param(Invoice, "A-7", None, "A-7", id="text"),
    pytest.param(Invoice, "7", 7, "7", id="digits"),
    pytest.param(Invoice, "007", None, "007", id="leading_zeros"),
    pytest.param(Invoice, "٧", None, "٧", id="other_digits"),
    pytest.param(Invoice, str(BIGGEST), BIGGEST, str(BIGGEST), id="biggest"),
    pytest.param(Invoice, str(BIGGEST + 1), None, str(BIGGEST + 1), id="too_big"),
]
each_kind = pytest.mark.parametrize(("model", "key", "object_id", "source_key"), KINDS)


def pending(**fields):
    return StripeCharge.objects.create(user=make_user(), amount=1000, **fields)


def read(charge):
    return StripeCharge.objects.get(pk=charge.pk)


def type_of(model):
    return ContentType.objects.get_for_model(model)


def columns(charge):
    return (charge.content_type, charge.object_id, charge.source_key)


@each_kind
def test_a_new_charge_keeps_its_source(model, key, object_id, source_key):
    row = model.objects.create(pk=key)

    charge = read(pending(source=row))

    assert charge.source == row
    assert columns(charge) == (type_of(model), object_id, source_key)


@each_kind
def test_the_source_of_a_charge_can_be_changed(model, key, object_id, source_key):
    row = model.objects.create(pk=key)
    for before in (Ticket.objects.create(), Order.objects.create(), Invoice(number="9"), None):
        charge = read(pending(source=before))

        charge.source = row
        assert charge.source == row
        charge.save()

        assert read(charge).source == row
        assert columns(read(charge)) == (type_of(model), object_id, source_key)


@each_kind
def test_a_charge_without_a_source_again_has_no_key(model, key, object_id, source_key):
    charge = read(pending(source=model.objects.create(pk=key)))

    charge.source = None
    charge.save()

    assert read(charge).source is None
    assert columns(read(charge)) == (None, None, "")


@each_kind
def test_charges_in_bulk_keep_their_source(model, key, object_id, source_key):
    row, user = model.objects.create(pk=key), make_user()

    StripeCharge.objects.bulk_create([StripeCharge(user=user, amount=1, source=row)])

    assert StripeCharge.objects.get().source == row


def test_sources_are_prefetched(django_assert_num_queries):
    rows = [it.values[0].objects.create(pk=it.values[1]) for it in KINDS]
    charges = [pending(source=it) for it in rows]
    ContentType.objects.get_for_models(Ticket, Order, Invoice)

    with django_assert_num_queries(4):
        found = list(StripeCharge.objects.order_by("pk").prefetch_related("source"))
        assert [it.source for it in found] == rows

    assert found == charges


@each_kind
def test_a_site_finds_the_charges_of_its_row(model, key, object_id, source_key):
    row = model.objects.create(pk=key)
    charge = pending(source=row)
    pending(source=model.objects.create(pk=uuid.uuid4() if model is Order else "8"))

    [prefetched] = model.objects.filter(pk=key).prefetch_related("charges")
    assert list(row.charges.all()) == list(prefetched.charges.all()) == [charge]
    assert list(model.objects.filter(pk=key).first().charges.filter(amount=1000)) == [charge]


@each_kind
def test_a_site_makes_charges_from_its_row(model, key, object_id, source_key):
    row = model.objects.create(pk=key)

    created = row.charges.create(user=make_user(), amount=5)

    assert created.source == read(created).source == row


@each_kind
def test_a_site_adds_charges_to_its_row(model, key, object_id, source_key):
    row = model.objects.create(pk=key)
    charges = [pending(), pending(), pending(source=Order.objects.create())]

    row.charges.add(charges[0], charges[2])
    row.charges.add(charges[1], bulk=False)

    assert [read(it).source for it in charges] == [row, row, row]
    assert row.charges.count() == 3


@each_kind
def test_deleting_the_source_keeps_a_charge_without_a_generic_relation(
    model, key, object_id, source_key
):
    row = model.objects.create(pk=key)
    charge = pending(source=row)

    model.objects.filter(pk=key)._raw_delete("default")

    assert read(charge).source is None
    assert columns(read(charge)) == (type_of(model), object_id, source_key)


@each_kind
def test_metadata_names_the_source(model, key, object_id, source_key, fake):
    charge = make_charge(source=model.objects.create(pk=key))

    charge.charge()

    metadata = intent_of(fake, charge)["metadata"]
    assert metadata["object_id"] == str(key)
    assert metadata["content_type_id"] == str(type_of(model).pk)


@each_kind
def test_a_dump_keeps_the_source(model, key, object_id, source_key, tmp_path):
    row = model.objects.create(pk=key)
    charge = pending(source=row)
    dump = tmp_path / "charges.json"
    call_command("dumpdata", "aa_stripe.StripeCharge", output=dump, verbosity=0)
    StripeCharge.objects.all().delete()

    call_command("loaddata", dump, verbosity=0)

    assert read(charge).source == row


def test_a_dump_of_0_14_keeps_the_source():
    row = Ticket.objects.create()
    charge = pending(source=row)
    [dumped] = json.loads(serializers.serialize("json", [charge]))
    del dumped["fields"]["source_key"]

    [loaded] = serializers.deserialize("json", json.dumps([dumped]))
    loaded.save()

    assert read(charge).source == row


# Code written for 0.14: it knows ``content_type`` and ``object_id``


@pytest.mark.parametrize(("model", "key"), [(Ticket, 7), (Invoice, "7")])
def test_a_source_can_be_named_by_its_columns(model, key):
    row = model.objects.create(pk=key)

    charge = StripeCharge(user=make_user(), content_type=type_of(model), object_id=7)
    assert charge.source == row
    charge.save()

    assert read(charge).source == row
    [found] = StripeCharge.objects.filter(content_type=type_of(model), object_id=row.pk)
    assert found == charge


@pytest.mark.parametrize(("model", "key"), [(Ticket, 7), (Invoice, "7")])
def test_charges_are_found_by_object_id(model, key):
    row = model.objects.create(pk=key)
    charge = pending(source=row)

    [found] = StripeCharge.objects.filter(content_type=type_of(model), object_id=row.pk)

    assert found == charge


@pytest.mark.parametrize("before", [Ticket, Order, Invoice])
def test_an_update_of_the_columns_of_0_14_changes_the_source(before):
    row = Ticket.objects.create()
    old = before.objects.create(**({"number": "A-7"} if before is Invoice else {}))
    charge = pending(source=old)

    StripeCharge.objects.update(content_type=type_of(Ticket), object_id=row.pk)
    assert read(charge).source == row

    StripeCharge.objects.update(object_id=None)
    assert read(charge).source is None


def test_an_update_of_object_id_shows_no_source_that_another_column_names():
    for number in ("7", "8", "A-7"):
        Invoice.objects.create(number=number)
    digits, text = pending(source=Invoice(number="7")), pending(source=Invoice(number="A-7"))

    StripeCharge.objects.update(object_id=8)

    assert read(digits).source is None
    assert read(text).source is None


def test_an_integer_left_by_another_source_does_not_hide_a_uuid():
    order = Order.objects.create()
    charge = pending(source=Ticket.objects.create())

    StripeCharge.objects.update(content_type=type_of(Order), source_key=order.pk)

    assert read(charge).source == order
    assert [it.source for it in StripeCharge.objects.prefetch_related("source")] == [order]


def test_digits_left_by_another_source_do_not_hide_an_integer():
    ticket = Ticket.objects.create()
    charge = pending(source=Invoice.objects.create(number=str(ticket.pk + 1)))

    StripeCharge.objects.update(content_type=type_of(Ticket), object_id=ticket.pk)

    assert read(charge).source == ticket


def test_a_uuid_is_the_same_however_it_is_written():
    order = Order.objects.create(pk=KEY)
    pending(content_type=type_of(Order), source_key=KEY.hex.upper())

    assert StripeCharge.objects.get().source == order
    assert StripeCharge.objects.prefetch_related("source").get().source == order


def test_text_that_is_no_key_of_the_model_is_no_source():
    charge = pending(content_type=type_of(Order), source_key="no uuid")

    assert charge.source is None
    assert StripeCharge.objects.prefetch_related("source").get().source is None


@pytest.mark.parametrize(("key", "stays"), [(7, (7, "")), (KEY, (None, str(KEY)))])
def test_the_key_outlives_a_stale_content_type(key, stays, fake):
    stale = ContentType.objects.create(app_label="shop", model="basket")
    charge = make_charge(content_type=stale)
    charge.source_pk = key
    charge.save()

    call_command("remove_stale_contenttypes", "--no-input", "--include-stale-apps", verbosity=0)

    charge = read(charge)
    assert (charge.source, charge.source_type) == (None, "shop.basket")
    assert (charge.object_id, charge.source_key) == stays
    charge.charge()
    metadata = intent_of(fake, charge)["metadata"]
    assert metadata["object_id"] == str(key)


@each_kind
def test_the_admin_shows_the_key(admin_client, model, key, object_id, source_key):
    charge = pending(source=model.objects.create(pk=key))

    page = admin_client.get(reverse("admin:aa_stripe_stripecharge_change", args=[charge.pk]))

    assert source_key in page.content.decode()


@pytest.mark.parametrize(("parent", "column"), [(Ticket, "object_id"), (Order, "source_key")])
def test_a_site_may_show_charges_inside_its_own_page(parent, column):
    class Charges(GenericTabularInline):
        model = StripeCharge
        ct_fk_field = column

    assert Charges(parent, site).check() == []


def test_the_checks_of_django_accept_the_relations():
    assert [
        it for it in run_checks() if it.id.startswith(("contenttypes", "models", "fields"))
    ] == []
