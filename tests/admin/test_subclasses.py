"""A site's admin classes that derive from ours, as with 0.14."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import RequestFactory

from aa_stripe.admin import ReadOnly, ReadOnlyBase, StripeChargeAdmin
from aa_stripe.models import StripeCharge, StripeCustomer
from tests.support.builders import make_customer

pytestmark = pytest.mark.django_db


class ChargeAdmin(StripeChargeAdmin):
    list_display = ("id", "stripe_customer_id")
    search_fields = ("comment",)


class CustomerAdmin(ReadOnly):
    editable_fields = ("is_active", "sources")
    extra_fields = ("card_holder",)

    def card_holder(self, customer):
        return "Jane"


class ChargeInline(ReadOnlyBase, admin.TabularInline):
    model = StripeCharge


@pytest.fixture
def request_of_admin(rf: RequestFactory):
    request = rf.get("/")
    request.user = User.objects.create_superuser("admin")
    return request


def test_a_list_may_show_the_customers_id_at_stripe(request_of_admin, fake):
    charge = StripeCharge(customer=make_customer())
    page = ChargeAdmin(StripeCharge, admin.site)

    assert page.stripe_customer_id(charge) == charge.customer.stripe_customer_id
    assert page.stripe_customer_id(StripeCharge()) is None
    assert page.check() == []


def test_search_fields_of_a_subclass_replace_ours(request_of_admin):
    subclass, ours = (
        ChargeAdmin(StripeCharge, admin.site),
        StripeChargeAdmin(StripeCharge, admin.site),
    )

    assert subclass.get_search_fields(request_of_admin) == ("comment",)
    assert "stripe_charge_id" in ours.get_search_fields(request_of_admin)


def test_search_fields_of_a_subclass_may_extend_ours():
    assert set(StripeChargeAdmin.search_fields) > {"user__email", "customer__stripe_customer_id"}
    assert isinstance(StripeChargeAdmin.search_fields, tuple)


def test_editable_fields_of_a_subclass_can_be_changed(request_of_admin, fake):
    page = CustomerAdmin(StripeCustomer, admin.site)

    form = page.get_form(request_of_admin, make_customer())

    assert set(form.base_fields) == {"is_active", "sources"}
    assert page.has_change_permission(request_of_admin)
    assert "card_holder" in page.get_readonly_fields(request_of_admin)
    assert not page.has_add_permission(request_of_admin)
    assert not page.has_delete_permission(request_of_admin)


def test_without_editable_fields_all_are_read_only(request_of_admin, fake):
    page = ReadOnly(StripeCustomer, admin.site)

    assert page.get_form(request_of_admin, make_customer()).base_fields == {}
    assert not page.has_change_permission(request_of_admin)


def test_an_inline_may_be_read_only(request_of_admin):
    inline = ChargeInline(StripeCustomer, admin.site)

    shown = inline.get_readonly_fields(request_of_admin)

    assert "comment" in shown
    assert inline.extra == 0
