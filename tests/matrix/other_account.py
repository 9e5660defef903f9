"""A site whose API key is now that of another account: an error, and no row changes.

Only counts of attempts, times, claims and what a run remembers may change. After each test, the
right key is back, and everything goes on.
"""

from __future__ import annotations

import pytest
from django.apps import apps

from aa_stripe.exceptions import StripeUnknownCustomer, StripeWrongAccount
from aa_stripe.gateway import InvalidRequestError
from aa_stripe.jobs import charge_pending, refresh_coupons
from aa_stripe.models import (
    StripeCharge,
    StripeCoupon,
    StripeCustomer,
    StripeJobRun,
    StripeSubscription,
    StripeWebhook,
)
from aa_stripe.testing import FakeStripe
from aa_stripe.utils import local_date
from tests.admin.conftest import list_url, row_url
from tests.api.requests import SETUP_INTENTS, charge_url, of
from tests.matrix.conftest import new_customer
from tests.matrix.flows import SALE, new_charge, new_subscription, patch
from tests.matrix.site import every, new_person, staff, stored
from tests.support.payments import lose_response, paid
from tests.webhooks.account import NEW, NOT_APPLIED, REDELIVERED, deliver, events_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("unchanged"),
]

#: What an attempt without an outcome changes.
OF_ATTEMPTS = {
    "attempts",
    "claim",
    "claimed_until",
    "key_number",
    "retry_at",
    "sent_at",
    "updated",
}


#: The models whose rows a wrong key may add.
OWN = {StripeJobRun, StripeWebhook}


class Site:
    """A person with one row of each kind, whose objects are in the first account."""

    def __init__(self, fake):
        self.person = new_person()
        self.customer = new_customer(self.person)
        self.other_customer = new_customer(new_person())
        self.coupon = StripeCoupon.objects.create(**SALE)
        self.pending = new_charge(self.person)
        self.charged = new_charge(self.person)
        self.charged.charge()
        self.charged.refund(100)
        today = local_date(fake.now)
        self.subscription = new_subscription(self.person, end_date=today, coupon=self.coupon)
        self.unsubscribed = StripeSubscription.objects.create(
            user=self.person.payer, plan=self.subscription.plan
        )
        self.unsettled = new_charge(self.person)
        lose_response(fake, self.unsettled)
        self.make_due()
        fake.dashboard_edit_coupon(SALE["coupon_id"], metadata={"key": "value"})
        self.fake, self.rows = fake, values_of_all()

    def make_due(self):
        every(StripeCharge).update(retry_at=None)

    def go_on(self):
        """Do with the right key what was refused with the wrong one."""
        self.make_due()
        charge_pending()
        self.charged.refund(200)
        self.unsubscribed.create_at_stripe()
        self.subscription.cancel()
        refresh_coupons()

        assert all(it.is_charged for it in every(StripeCharge))
        assert len(paid(self.fake)) == 3 + 2  # the charges and the subscriptions
        assert stored(self.charged).amount_refunded == 300
        assert stored(self.coupon).metadata == {"key": "value"}
        assert stored(self.customer).is_active


def values_of_all():
    """Return each value of each row but events and runs, without those of ``OF_ATTEMPTS``."""
    models = apps.get_app_config("aa_stripe").get_models()
    rows = [(it.__name__, row) for it in models if it not in OWN for row in every(it).values()]
    return {
        f"{model} {row.get('id')} {name}": value
        for model, row in rows
        for name, value in row.items()
        if name not in OF_ATTEMPTS
    }


def changes(before, after):
    """Return the values that differ, each with the earlier one."""
    names = sorted(before.keys() | after.keys())
    return {it: (before.get(it), after.get(it)) for it in names if before.get(it) != after.get(it)}


@pytest.fixture
def site(transactional_db, fake):
    """The site, with the key of another account during the test."""
    site = Site(fake)
    with FakeStripe() as other:
        site.other = other
        yield site


@pytest.fixture
def unchanged(site):
    """Check after the test that no row has changed and nothing was created in either account."""
    before = site.fake.account.all("event"), site.other.account.all("event")
    yield
    assert changes(site.rows, values_of_all()) == {}
    assert (site.fake.account.all("event"), site.other.account.all("event")) == before
    with site.fake:
        site.go_on()


# Charges and refunds


def test_a_charge(site):
    with pytest.raises(StripeWrongAccount):
        site.pending.charge()


def test_an_unsettled_charge(site):
    with pytest.raises(StripeWrongAccount):
        site.unsettled.charge()


def test_a_run_of_charge_stripe(site, run, sent):
    ran = run("charge_stripe")

    assert ran.status == 1
    assert "another account or mode" in ran.stdout
    assert sent == []


def test_a_refund(site, sent):
    with pytest.raises(InvalidRequestError, match="No such charge"):
        site.charged.refund(200)
    assert sent == []


def test_refreshing_a_charge(site):
    for charge in (site.charged, site.unsettled):
        with pytest.raises((InvalidRequestError, StripeUnknownCustomer)):
            charge.refresh_from_stripe()


# Customers


def test_a_second_card(site):
    with pytest.raises(InvalidRequestError, match="No such customer"):
        site.customer.add_new_source("pm_card_visa")


def test_a_second_card_over_http(site):
    response = patch(site.person, site.customer, "pm_card_visa")

    assert response.status_code in {400, 503}


def test_a_setup_intent(site):
    response = site.person.api.post(SETUP_INTENTS)

    assert response.status_code in {400, 503}


def test_refreshing_a_customer(site):
    for act in (site.customer.refresh_from_stripe, site.customer.push_details):
        with pytest.raises(InvalidRequestError, match="No such customer"):
            act()


def test_refresh_customers(site, run):
    outputs = [run("refresh_customers", *options).stdout for options in ([], ["--all"])]

    assert all("skipped (unknown to Stripe): 2" in it for it in outputs)


def test_closing_an_account(site):
    with pytest.raises(StripeUnknownCustomer):
        StripeCustomer.close(site.person.payer)


def test_what_is_stored_is_shown(site):
    client = staff()

    assert site.person.api.get(of(site.customer)).status_code == 200
    assert site.person.api.get(charge_url(site.charged)).data["state"] == "charged"
    for row in (site.customer, site.charged, site.subscription, site.coupon):
        assert client.get(row_url(row._meta.model_name, row.pk)).status_code == 200
        assert client.get(list_url(row._meta.model_name)).status_code == 200


# Subscriptions


def test_a_subscription(site):
    with pytest.raises(InvalidRequestError, match="No such customer"):
        site.unsubscribed.create_at_stripe()


def test_canceling_a_subscription(site):
    for at_period_end in (True, False):
        with pytest.raises(InvalidRequestError, match="No such subscription"):
            site.subscription.cancel(at_period_end=at_period_end)


def test_refreshing_a_subscription(site):
    with pytest.raises(InvalidRequestError, match="No such subscription"):
        site.subscription.refresh_from_stripe()


def test_end_subscriptions(site, run):
    ran = run("end_subscriptions")

    assert ran.status == 1
    assert "No such subscription" in ran.stdout
    with pytest.raises(InvalidRequestError):
        StripeSubscription.end_subscriptions()


def test_refresh_subscriptions(site, run):
    outputs = [run("refresh_subscriptions", *options).stdout for options in ([], ["--all"])]

    assert all("skipped (unknown to Stripe): 1" in it for it in outputs)


# Coupons


def test_refresh_coupons(site, run):
    ran = run("refresh_coupons")

    assert ran.status == 1
    assert "another account" in ran.stdout


def test_saving_a_coupon(site):
    site.coupon.metadata = {"key": "value"}
    with pytest.raises(StripeWrongAccount):
        site.coupon.save()


def test_refreshing_a_coupon(site):
    with pytest.raises(StripeWrongAccount):
        site.coupon.refresh_from_stripe()


def test_deleting_a_coupon(site):
    with pytest.raises(StripeWrongAccount):
        site.coupon.delete()


# Events


def test_events_of_the_first_account(site):
    statuses = deliver(site.fake, *events_of(site.fake))

    assert set(statuses) <= {NEW, REDELIVERED, NOT_APPLIED}


def test_check_pending_webhooks(site, run):
    ran = run("check_pending_webhooks", "--recover")

    assert ran.status == 0
