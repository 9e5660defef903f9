from django.contrib.auth import get_user_model
from rest_framework import serializers

from aa_stripe.models import StripeWebhook
from aa_stripe.serializers import StripeCustomerDetailsSerializer, StripeCustomerSerializer
from club.models import Member, Order


class CardSerializer(StripeCustomerDetailsSerializer):
    """A customer as the page of the account needs it."""

    class Meta(StripeCustomerDetailsSerializer.Meta):
        fields = ["stripe_customer_id", "default_source_data", "stripe_js_response"]
        read_only_fields = ["stripe_customer_id"]


class OrderSerializer(serializers.ModelSerializer):
    class Meta:
        model = Order
        fields = ["id", "text", "total", "status", "failure"]
        read_only_fields = ["id", "status", "failure"]


class RegisterSerializer(serializers.Serializer):
    """A new account and its card in one call."""

    email = serializers.EmailField()
    password = serializers.CharField(write_only=True)
    phone = serializers.CharField(required=False, default="")
    stripe_js_response = serializers.JSONField(required=False, write_only=True)

    def create(self, validated_data):
        request = self.context["request"]
        user = get_user_model().objects.create_user(
            validated_data["email"], validated_data["email"], validated_data["password"]
        )
        member = Member.objects.create(user=user, phone=validated_data["phone"])
        if "stripe_js_response" in validated_data:
            request.user = user
            card = StripeCustomerSerializer(
                data={"stripe_js_response": validated_data["stripe_js_response"]},
                context={"request": request},
            )
            card.is_valid(raise_exception=True)
            member.billing_customer = card.save()
            member.save()
        return member

    def to_representation(self, instance):
        return {"id": instance.pk, "has_card": instance.billing_customer_id is not None}


class EventSerializer(serializers.ModelSerializer):
    """Stripe shows our response in its Dashboard; the id is enough there."""

    class Meta:
        model = StripeWebhook
        fields = ["id"]
