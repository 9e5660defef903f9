"""What is kept of rows when a row that they refer to is deleted, and what is not deleted."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group
from django.contrib.contenttypes.fields import GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import transaction
from django.db.models import ProtectedError
from django.test.utils import isolate_apps

from aa_stripe import jobs
from aa_stripe.exceptions import StripeMethodNotAllowed
from aa_stripe.models import (
    StripeCharge,
    StripeCustomer,
    StripeRefund,
    StripeSubscription,
    StripeSubscriptionPlan,
)
from aa_stripe.testing import Fault
from tests.support.builders import make_charge, make_customer, make_subscription, make_user
from tests.support.requests import before
from tests.support.rows import row_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("fake")]


@pytest.fixture
def active(fake):
    subscription = make_subscription()
    subscription.create_at_stripe()
    return subscription


def protected_by(delete):
    with pytest.raises(ProtectedError) as caught, transaction.atomic():
        delete()
    return caught.value


# What is kept


def test_charges_refunds_and_customers_outlive_their_users():
    charges = [make_charge(), make_charge()]
    for charge in charges:
        charge.charge()
        charge.refund(400)
    keys = [str(it.user.pk) for it in charges]

    type(charges[0].user).objects.filter(pk__in=keys).delete()

    for charge, key in zip(charges, keys, strict=True):
        charge.refresh_from_db()
        assert (charge.user, charge.user_key) == (None, key)
        assert (charge.customer.user, charge.customer.user_key) == (None, key)
        assert charge.refunds.get().amount == 400


def test_a_charge_of_a_deleted_user_is_refunded_as_before():
    charge = make_charge()
    charge.charge()
    charge.user.delete()
    charge = StripeCharge.objects.get()

    charge.refund(300)

    assert charge.amount_refunded == 300


def test_a_charge_of_a_deleted_user_is_not_collected_from_another_deleted_user(fake):
    make_customer().user.delete()
    charge = make_charge()
    charge.user.delete()
    charge = StripeCharge.objects.get()

    with pytest.raises(StripeMethodNotAllowed, match="no user"):
        charge.charge()
    report = jobs.charge_pending()

    assert fake.account.all("payment_intent") == []
    assert not report.failed
    assert list(StripeCharge.objects.pending()) == []


def test_an_unsettled_charge_of_a_deleted_user_is_settled(fake):
    charge = make_charge()
    fake.fail_next("POST /v1/payment_intents/*/confirm", Fault.ANSWER_LOST)
    jobs.charge_pending()
    charge.user.delete()
    StripeCharge.objects.update(retry_at=None)

    jobs.charge_pending()

    charge.refresh_from_db()
    assert (charge.is_charged, charge.user) == (True, None)


def test_a_customer_without_a_user_is_not_created_at_stripe():
    customer = StripeCustomer.objects.create(user=make_user())
    customer.user.delete()
    customer.refresh_from_db()

    with pytest.raises(StripeMethodNotAllowed, match="no user"):
        customer.create_at_stripe()


def test_charges_outlive_a_stale_content_type():
    stale = ContentType.objects.create(app_label="shop", model="basket")
    charge = make_charge(content_type=stale, object_id=7)

    call_command("remove_stale_contenttypes", "--no-input", "--include-stale-apps", verbosity=0)

    charge.refresh_from_db()
    assert not ContentType.objects.filter(app_label="shop").exists()
    assert (charge.content_type, charge.source_type, charge.object_id) == (None, "shop.basket", 7)


def test_a_refund_outlives_its_charge():
    charge = make_charge()
    charge.charge()
    charge.refund(400)
    stripe_id = charge.stripe_charge_id

    charge.delete()

    refund = StripeRefund.objects.get()
    assert (refund.charge, refund.stripe_response["charge"]) == (None, stripe_id)


def test_an_ended_subscription_outlives_its_user_plan_and_customer(active):
    active.cancel()
    user, plan, customer = active.user, active.plan, active.customer
    key = str(user.pk)

    for row in (customer, plan, user):
        row.delete()

    active.refresh_from_db()
    assert (active.user, active.plan, active.customer, active.user_key) == (None, None, None, key)


def test_a_subscription_that_is_only_here_is_no_obstacle():
    subscription = make_subscription()
    subscription.user.delete()
    subscription.plan.delete()
    subscription.refresh_from_db()

    with pytest.raises(StripeMethodNotAllowed, match="no plan"):
        subscription.create_at_stripe()

    subscription.delete()
    assert not StripeSubscription.objects.exists()


# What is not deleted

MODELS = {
    "user": lambda row: row.user,
    "plan": lambda row: row.plan,
    "customer": lambda row: row.customer,
    "subscription": lambda row: row,
}


@pytest.mark.parametrize("whose", MODELS)
@pytest.mark.parametrize("state", ["live", "unsettled", "claimed"])
def test_what_a_live_subscription_needs_is_not_deleted(active, whose, state):
    states = {
        "live": {},
        "unsettled": {"status": "", "is_created_at_stripe": False, "is_unsettled": True},
        "claimed": {"status": "", "is_created_at_stripe": False, "claim": "of-another-process"},
    }
    StripeSubscription.objects.filter(pk=active.pk).update(**states[state])
    active.refresh_from_db()
    row = MODELS[whose](active)

    alone = protected_by(row.delete)
    together = protected_by(type(row)._base_manager.filter(pk=row.pk).delete)

    for error in (alone, together):
        assert f"subscription {active.pk} ({active.stripe_subscription_id})" in str(error)
        assert error.protected_objects == {active}
    assert type(row)._base_manager.filter(pk=row.pk).exists()
    assert StripeSubscription.objects.get().user == active.user


def test_the_error_names_a_handful_of_rows(active):
    for _ in range(6):
        StripeSubscription.objects.create(user=active.user, plan=active.plan, is_unsettled=True)

    of_user = protected_by(active.user.delete)
    of_rows = protected_by(StripeSubscription.objects.all().delete)

    for error in (of_user, of_rows):
        assert "and 2 more" in str(error)
        assert len(error.protected_objects) == 7


def test_nothing_is_deleted_if_one_of_several_is_open(active):
    ended = StripeSubscription.objects.create(user=active.user, plan=active.plan)

    protected_by(StripeSubscription.objects.all().delete)

    assert set(StripeSubscription.objects.all()) == {active, ended}


def test_an_unsettled_charge_is_not_deleted():
    charge = make_charge()
    StripeCharge.objects.update(is_unsettled=True)
    charge.refresh_from_db()

    assert protected_by(charge.delete).protected_objects == {charge}
    protected_by(StripeCharge.objects.all().delete)
    assert StripeCharge.objects.exists()


def test_an_object_that_was_read_before_the_subscription_was_created_deletes_nothing(active):
    stale = StripeSubscription.objects.get()
    stale.is_created_at_stripe, stale.status = False, ""

    assert protected_by(stale.delete).protected_objects == {active}


def test_a_subscription_is_not_deleted_while_it_is_created(fake):
    row = make_subscription()
    before(fake, "POST /v1/subscriptions", lambda: protected_by(row_of(row).delete))

    row.create_at_stripe()

    assert row_of(row).status == "active"


def test_a_charge_of_a_user_who_is_deleted_meanwhile_is_recorded(fake):
    charge = make_charge()
    before(fake, "POST /v1/payment_intents/*/confirm", row_of(charge).user.delete)

    charge.charge()

    charge.refresh_from_db()
    assert (charge.is_charged, charge.user) == (True, None)


@isolate_apps("aa_stripe")
def test_a_collected_charge_is_not_deleted_with_the_source_of_a_generic_relation():
    class Basket(Group):
        charges = GenericRelation(StripeCharge)

        class Meta:
            proxy = True
            app_label = "aa_stripe"

    basket = Basket.objects.create(name="A")
    charge, open_charge = make_charge(source=basket), make_charge(source=basket)
    charge.charge()

    error = protected_by(basket.delete)
    assert f"charge {charge.pk} ({charge.stripe_charge_id})" in str(error)
    assert error.protected_objects == {charge}

    charge.delete()
    basket.delete()
    assert not StripeCharge.objects.filter(pk=open_charge.pk).exists()


def test_a_refund_without_a_response_is_not_deleted_nor_its_charge():
    charge = make_charge()
    charge.charge()
    refund = StripeRefund.objects.create(charge=charge, amount=400)

    for delete in (refund.delete, charge.delete, StripeRefund.objects.all().delete):
        assert protected_by(delete).protected_objects == {refund}
    assert StripeRefund.objects.get().charge == charge


@isolate_apps("aa_stripe")
def test_a_proxy_is_protected_as_well(active):
    class Membership(StripeSubscription):
        class Meta:
            proxy = True
            app_label = "aa_stripe"

    protected_by(Membership.objects.get().delete)
    protected_by(Membership.objects.all().delete)


def test_the_admin_refuses_as_well(active, admin_client):
    url = f"/admin/auth/user/{active.user.pk}/delete/"

    page = admin_client.get(url).content.decode()

    assert "Cannot delete user" in page
    assert StripeSubscription.objects.get().user == active.user


def test_the_admin_shows_rows_without_user_plan_and_charge(active, admin_client):
    active.cancel()
    charge = make_charge()
    charge.charge()
    charge.refund(400)
    charge.delete()
    for row in (active.plan, active.user):
        row.delete()

    for name in ("stripesubscription", "stripecustomer", "striperefund"):
        assert admin_client.get(f"/admin/aa_stripe/{name}/").status_code == 200
    assert not StripeSubscriptionPlan.objects.exists()
