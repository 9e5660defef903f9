"""The rows of a season, written by the site with 0.13.0; for ``run.py shell``."""

from decimal import Decimal

from club import billing
from club.models import Payout
from club.tests.base import BarnTestCase
from django.conf import settings

settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
case = BarnTestCase()
case.setUp()

ada, bob = case.make_user("ada"), case.make_user("bob", card="chargeCustomerFail")
shoes = billing.buy(ada, "Shoes", 9000)
billing.give_back(shoes, 1000)
billing.give_back(billing.buy(ada, "Rope", 12000))
billing.buy(bob, "Day ticket", 2200)
billing.place_order(ada, "Chalk", 1200)
billing.rent_locker(ada.member, 7)

billing.make_voucher("SPRING", percent=20)
billing.make_voucher("TEN", dollars=Decimal("10"))
billing.make_voucher("AUTUMN", percent=50, months=3)
billing.withdraw_voucher("AUTUMN")
billing.join(ada, case.make_membership(), "SPRING")

Payout.objects.create(
    payout_id="po_1", amount=5000, note="seen", stripe_response={"bank": 'The "Peak" Bank'}
)

case.doCleanups()
