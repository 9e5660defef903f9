from django.contrib.auth.mixins import LoginRequiredMixin
from django.views.generic import TemplateView
from rest_framework import generics, status
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView

from aa_stripe.api import CouponDetailsAPI, CustomerDetailsAPI, CustomersAPI, WebhookAPI
from aa_stripe.models import StripeCoupon, StripeCustomer
from club import billing
from club.models import Member, Membership, Order
from club.serializers import CardSerializer, EventSerializer, OrderSerializer, RegisterSerializer


class RegisterAPI(generics.CreateAPIView):
    serializer_class = RegisterSerializer
    permission_classes = [AllowAny]


class CardsAPI(CustomersAPI):
    """Our front-end posts a card here; the member remembers who pays."""

    def perform_create(self, serializer):
        customer = serializer.save()
        Member.objects.filter(user=self.request.user).update(billing_customer=customer)


class CardDetailsAPI(CustomerDetailsAPI):
    serializer_class = CardSerializer

    def get_queryset(self):
        return super().get_queryset().filter(is_active=True)


class DeskCardsAPI(CustomerDetailsAPI):
    """The desk sees the cards of everybody, by the number of the member."""

    serializer_class = CardSerializer
    lookup_field = "user_id"

    def get_queryset(self):
        if not self.request.user.is_staff:
            return StripeCustomer.objects.none()
        return StripeCustomer.objects.filter(is_active=True)


class VoucherAPI(CouponDetailsAPI):
    """Anybody may look at a voucher, but not at the discounts of the staff."""

    permission_classes = [AllowAny]
    queryset = StripeCoupon.objects.exclude(coupon_id__startswith="STAFF-")


class EventsAPI(WebhookAPI):
    """The address that our account at Stripe has had from the beginning."""

    serializer_class = EventSerializer

    def post(self, request, *args, **kwargs):
        response = super().post(request, *args, **kwargs)
        response["X-Served-By"] = "barn"
        return response


class OrdersAPI(generics.ListCreateAPIView):
    serializer_class = OrderSerializer
    permission_classes = [IsAuthenticated]

    def get_queryset(self):
        return Order.objects.filter(user=self.request.user)

    def create(self, request, *args, **kwargs):
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        try:
            order = billing.buy(request.user, **serializer.validated_data)
        except billing.NoCard:
            return Response({"detail": "No card"}, status=status.HTTP_409_CONFLICT)
        paid = order.status == Order.PAID
        return Response(
            self.get_serializer(order).data,
            status=status.HTTP_201_CREATED if paid else status.HTTP_402_PAYMENT_REQUIRED,
        )


class JoinAPI(APIView):
    permission_classes = [IsAuthenticated]

    def post(self, request):
        membership = generics.get_object_or_404(Membership, name=request.data.get("membership"))
        subscription = billing.join(request.user, membership, request.data.get("voucher"))
        return Response(
            {
                "status": subscription.status,
                "plan": subscription.stripe_response["plan"]["id"],
                "until": subscription.stripe_response["current_period_end"],
            },
            status=status.HTTP_201_CREATED,
        )

    def delete(self, request):
        subscription = billing.leave(request.user, now="now" in request.query_params)
        return Response(
            {
                "ends": bool(subscription.canceled_at),
                "may_climb": request.user.member.may_climb,
            }
        )


class AccountView(LoginRequiredMixin, TemplateView):
    template_name = "club/account.html"

    def get_context_data(self, **kwargs):
        user = self.request.user
        return super().get_context_data(
            member=user.member,
            customer=user.stripe_customers.filter(is_active=True).last(),
            orders=user.orders.all(),
            subscriptions=user.stripe_subscriptions.all(),
            **kwargs
        )
