import json
from decimal import Decimal

from aa_stripe.models import StripeCoupon
from club import billing
from club.forms import VoucherForm
from club.tests.base import BarnTestCase


class VoucherTests(BarnTestCase):
    def test_a_voucher_is_made_at_stripe(self):
        voucher = billing.make_voucher("SPRING", dollars=Decimal("10"))

        self.assertTrue(voucher.is_created_at_stripe)
        self.assertEqual(voucher.stripe_response["amount_off"], 1000)
        self.assertEqual(self.stripe.live_coupons(), ["SPRING"])

    def test_a_voucher_for_months(self):
        voucher = billing.make_voucher("THREE", percent=50, months=3)

        voucher.refresh_from_db()
        self.assertEqual(voucher.duration, StripeCoupon.DURATION_REPEATING)
        self.assertEqual(voucher.percent_off, 50)

    def test_a_voucher_is_withdrawn(self):
        billing.make_voucher("SPRING", percent=20)

        billing.withdraw_voucher("SPRING")

        self.assertEqual(self.stripe.live_coupons(), [])
        self.assertFalse(StripeCoupon.objects.exists())
        self.assertEqual(StripeCoupon.objects.deleted().get().coupon_id, "SPRING")

    def test_a_voucher_is_deleted(self):
        voucher = billing.make_voucher("SPRING", percent=20)

        self.assertEqual(voucher.delete(), (0, {"aa_stripe.StripeCoupon": 0}))

        self.assertEqual(self.stripe.live_coupons(), [])
        self.assertEqual(StripeCoupon.objects.all_with_deleted().count(), 1)

    def test_all_vouchers_are_deleted(self):
        billing.make_voucher("SPRING", percent=20)
        billing.make_voucher("AUTUMN", percent=20)

        deleted = StripeCoupon.objects.all().delete()

        self.assertEqual(deleted, (2, {"aa_stripe.StripeCoupon": 2}))
        self.assertEqual(self.stripe.live_coupons(), [])

    def test_only_the_metadata_can_be_changed(self):
        voucher = billing.make_voucher("SPRING", percent=20)
        voucher.metadata = {"desk": "east"}
        voucher.percent_off = 90

        voucher.save()

        voucher.refresh_from_db()
        self.assertEqual(voucher.metadata, {"desk": "east"})
        self.assertEqual(voucher.percent_off, 20)


class VoucherApiTests(BarnTestCase):
    def test_a_voucher_is_shown_to_everybody(self):
        billing.make_voucher("SPRING", dollars=Decimal("10"))

        response = self.client.get("/api/vouchers/SPRING")

        self.assertEqual(response.status_code, 200)
        self.assertEqual(response.data["amount_off"], "10.00")
        self.assertEqual(json.loads(response.data["metadata"]), {"desk": "main"})

    def test_the_discounts_of_the_staff_are_hidden(self):
        billing.make_voucher("STAFF-EVA", percent=50)

        self.assertEqual(self.client.get("/api/vouchers/STAFF-EVA").status_code, 404)

    def test_a_voucher_that_was_withdrawn(self):
        billing.make_voucher("SPRING", percent=20)
        billing.withdraw_voucher("SPRING")

        self.assertEqual(self.client.get("/api/vouchers/SPRING").status_code, 404)

    def test_the_old_address_needs_an_account(self):
        billing.make_voucher("SPRING", percent=20)

        self.assertEqual(self.client.get("/aa-stripe/coupons/SPRING").status_code, 403)


class VoucherFormTests(BarnTestCase):
    def errors(self, **data):
        data = dict({"coupon_id": "SPRING", "duration": "once", "metadata": "{}"}, **data)
        return VoucherForm(data).errors

    def test_a_code_is_in_capitals(self):
        errors = self.errors(coupon_id="spring", percent_off=10, times_redeemed=0)

        self.assertEqual(errors, {"coupon_id": ["Please use capital letters"]})

    def test_the_code_is_not_in_use(self):
        billing.make_voucher("SPRING", percent=20)

        errors = self.errors(percent_off=10, times_redeemed=0)

        self.assertEqual(errors, {"coupon_id": ["Coupon with this id already exists"]})

    def test_a_discount_is_needed(self):
        errors = self.errors(times_redeemed=0)

        self.assertEqual(errors, {"__all__": ["Coupon must specify amount_off or percent_off"]})

    def test_an_amount_needs_a_currency(self):
        errors = self.errors(amount_off=10, times_redeemed=0)

        self.assertEqual(errors, {"currency": ["Currency is required when amount_off is set"]})
