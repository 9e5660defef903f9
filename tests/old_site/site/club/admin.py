from django.contrib import admin, messages
from django.contrib.contenttypes.admin import GenericTabularInline

from aa_stripe.admin import (
    ReadOnly,
    ReadOnlyBase,
    StripeChargeAdmin,
    StripeCouponAdmin,
    StripeCustomerAdmin,
)
from aa_stripe.models import StripeCharge, StripeCoupon, StripeCustomer
from club import billing
from club.forms import VoucherForm
from club.models import LockerRental, Member, Membership, Order, Payout


class BarnCustomerAdmin(StripeCustomerAdmin):
    list_display = StripeCustomerAdmin.list_display + ("phone",)
    search_fields = ["user__email", "stripe_customer_id"]

    def phone(self, obj):
        return obj.user.member.phone


class BarnChargeAdmin(StripeChargeAdmin):
    list_display = ("id", "user", "stripe_customer_id", "description", "is_charged", "is_refunded")
    search_fields = StripeChargeAdmin.search_fields + ("description",)
    editable_fields = ["comment"]


class VoucherAdmin(StripeCouponAdmin):
    form = VoucherForm


class ChargeInline(ReadOnlyBase, GenericTabularInline):
    model = StripeCharge

    def has_add_permission(self, request, obj=None):
        return False


class OrderAdmin(admin.ModelAdmin):
    list_display = ["id", "user", "text", "total", "status"]
    search_fields = ["text", "charges__stripe_charge_id"]
    inlines = [ChargeInline]
    actions = ["give_back"]

    def give_back(self, request, queryset):
        for order in queryset:
            messages.info(request, billing.give_back(order))

    give_back.short_description = "Give the money back"


class PayoutAdmin(ReadOnly):
    list_display = ("payout_id", "amount", "arrived", "note")
    editable_fields = ["note"]
    extra_fields = ["dollars"]

    def dollars(self, obj):
        return "${:.2f}".format(obj.amount / 100)


admin.site.unregister(StripeCustomer)
admin.site.unregister(StripeCharge)
admin.site.unregister(StripeCoupon)
admin.site.register(StripeCustomer, BarnCustomerAdmin)
admin.site.register(StripeCharge, BarnChargeAdmin)
admin.site.register(StripeCoupon, VoucherAdmin)
admin.site.register(Member)
admin.site.register(Membership)
admin.site.register(LockerRental)
admin.site.register(Order, OrderAdmin)
admin.site.register(Payout, PayoutAdmin)
