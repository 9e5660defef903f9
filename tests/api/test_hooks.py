"""REST framework's hooks of a subclass, for each view."""

from __future__ import annotations

import pytest
from rest_framework import serializers, status
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, AuthenticationFailed
from rest_framework.filters import BaseFilterBackend
from rest_framework.generics import ListAPIView
from rest_framework.pagination import PageNumberPagination
from rest_framework.parsers import FormParser
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.renderers import BaseRenderer
from rest_framework.response import Response
from rest_framework.test import force_authenticate
from rest_framework.throttling import BaseThrottle, ScopedRateThrottle

from aa_stripe.models import StripeCoupon, StripeCustomer
from aa_stripe.serializers import StripeCustomerDetailsSerializer, StripeCustomerSerializer
from tests.api import endpoints
from tests.support.builders import make_charge, make_customer, make_user

pytestmark = pytest.mark.django_db

ALL = [
    endpoints.customers,
    endpoints.customer_details,
    endpoints.setup_intents,
    endpoints.charge_details,
    endpoints.coupon_details,
    endpoints.webhooks,
]

WITH_PARSED_BODY = [endpoints.customers, endpoints.customer_details, endpoints.setup_intents]
WITH_SERIALIZER = [it for it in ALL if it is not endpoints.setup_intents]
WITH_ROW = [endpoints.customer_details, endpoints.charge_details, endpoints.coupon_details]
OF_PAYER = [endpoints.customers, *WITH_ROW[:2], endpoints.setup_intents]


@pytest.fixture
def endpoint(request, payer, fake):
    return request.param(payer)


def each(makers):
    return pytest.mark.parametrize("endpoint", makers, indirect=True, ids=lambda it: it.__name__)


class Denied(BasePermission):
    message = "Not for you."

    def has_permission(self, request, view):
        return False


class RowDenied(BasePermission):
    message = "Not this one."

    def has_object_permission(self, request, view, obj):
        return False


class Unknown(BaseAuthentication):
    def authenticate(self, request):
        raise AuthenticationFailed("Who is it?")


class Never(BaseThrottle):
    def allow_request(self, request, view):
        return False


class OncePerHour(ScopedRateThrottle):
    THROTTLE_RATES = {"of_tests": "1/hour"}

    def get_ident(self, request):
        return "a test"


class Plain(BaseRenderer):
    media_type = "text/plain"
    format = "txt"

    def render(self, data, *args):
        return b"as plain text"


class Hidden(BaseFilterBackend):
    def filter_queryset(self, request, queryset, view):
        return queryset.none()


class Teapot(APIException):
    status_code = status.HTTP_418_IM_A_TEAPOT


class IdOnly(serializers.Serializer):
    pk = serializers.CharField(read_only=True)

    def create(self, validated_data):
        return make_customer()

    def update(self, instance, validated_data):
        return instance


class Context(IdOnly):
    def to_representation(self, instance):
        return {"seen": self.context["seen"]}


class Pages(PageNumberPagination):
    page_size = 1


def raise_teapot(*args, **kwargs):
    raise Teapot


# Each view


@each(ALL)
def test_the_request_succeeds_with_a_plain_subclass(endpoint):
    assert endpoint.respond().status_code in (200, 201)


@each(ALL)
def test_permission_classes(endpoint):
    response = endpoint.respond(permission_classes=[Denied])

    assert (response.status_code, response.data["detail"]) == (403, "Not for you.")


@each(ALL)
def test_the_arguments_of_as_view(endpoint):
    request = endpoint.request(endpoint.method)
    force_authenticate(request, endpoint.payer)

    response = endpoint.view.as_view(permission_classes=[Denied])(request, **endpoint.kwargs)

    assert (response.status_code, response.data["detail"]) == (403, "Not for you.")


@each(ALL)
def test_get_permissions(endpoint):
    response = endpoint.respond(get_permissions=lambda self: [Denied()])

    assert (response.status_code, response.data["detail"]) == (403, "Not for you.")


@each(ALL)
def test_authentication_classes(endpoint):
    response = endpoint.respond(is_signed_in=False, authentication_classes=[Unknown])

    assert (response.status_code, response.data["detail"]) == (403, "Who is it?")


@each([endpoints.customers, *WITH_ROW, endpoints.setup_intents])
def test_a_user_of_an_own_authentication_class_is_the_payer(endpoint):
    class AsPayer(BaseAuthentication):
        def authenticate(self, request):
            return endpoint.payer, None

    response = endpoint.respond(is_signed_in=False, authentication_classes=[AsPayer])

    assert response.status_code in (200, 201)


@each(ALL)
def test_throttle_classes(endpoint):
    assert endpoint.respond(throttle_classes=[Never]).status_code == 429


@each(ALL)
def test_throttle_scope(endpoint, settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    OncePerHour.cache.clear()
    hooks = {"throttle_classes": [OncePerHour], "throttle_scope": "of_tests"}

    statuses = [endpoint.respond(**hooks).status_code for _ in range(2)]

    assert statuses[0] in (200, 201)
    assert statuses[1] == 429


@each(WITH_PARSED_BODY)
def test_parser_classes(endpoint):
    assert endpoint.respond(parser_classes=[FormParser]).status_code == 415


@each(ALL)
def test_renderer_classes(endpoint):
    response = endpoint.respond(renderer_classes=[Plain])

    assert response.status_code in (200, 201)
    assert response.content == b"as plain text"


@each(ALL)
def test_initial(endpoint):
    assert endpoint.respond(initial=raise_teapot).status_code == 418


@each(ALL)
def test_handle_exception(endpoint):
    def handle_exception(self, exc):
        return Response({"handled": type(exc).__name__}, 418)

    response = endpoint.respond(initial=raise_teapot, handle_exception=handle_exception)

    assert (response.status_code, response.data) == (418, {"handled": "Teapot"})


# Serializers


@each(WITH_SERIALIZER)
def test_serializer_class(endpoint):
    response = endpoint.respond(serializer_class=IdOnly)

    assert response.status_code in (200, 201)
    assert set(response.data) - {"client_secret", "payment_method"} == {"pk"}


@each(WITH_SERIALIZER)
def test_get_serializer_class(endpoint):
    response = endpoint.respond(get_serializer_class=lambda self: IdOnly)

    assert "pk" in response.data


@each(WITH_SERIALIZER)
def test_get_serializer(endpoint):
    def get_serializer(self, *args, **kwargs):
        return IdOnly(*args, **kwargs)

    assert "pk" in endpoint.respond(get_serializer=get_serializer).data


@each(WITH_SERIALIZER)
def test_get_serializer_context(endpoint):
    def get_serializer_context(self):
        return {"seen": self.request.method}

    response = endpoint.respond(
        serializer_class=Context, get_serializer_context=get_serializer_context
    )

    assert response.data["seen"] == endpoint.method.upper()


# The row


@each(WITH_ROW)
def test_queryset_hides_rows(endpoint):
    model = type(endpoint.row)

    response = endpoint.respond(queryset=model.objects.exclude(pk=endpoint.row.pk))

    assert response.status_code == 404


@each(WITH_ROW)
def test_queryset_shows_the_other_rows(endpoint):
    queryset = type(endpoint.row).objects.filter(pk=endpoint.row.pk)

    assert endpoint.respond(queryset=queryset).status_code == 200


@each(WITH_ROW)
def test_get_queryset_hides_rows(endpoint):
    def get_queryset(self):
        return super(type(self), self).get_queryset().none()

    assert endpoint.respond(get_queryset=get_queryset).status_code == 404


@each(WITH_ROW)
def test_get_queryset_replaces_ours(endpoint):
    model = type(endpoint.row)
    endpoint.payer = make_user()

    assert endpoint.respond(get_queryset=lambda self: model.objects.all()).status_code == 200


@each(WITH_ROW)
def test_get_queryset_may_be_a_manager(endpoint):
    model = type(endpoint.row)

    assert endpoint.respond(get_queryset=lambda self: model.objects).status_code == 200


@each(WITH_ROW)
def test_get_object(endpoint):
    response = endpoint.respond(get_object=lambda self: endpoint.row, kwargs={})

    assert response.status_code == 200


@each(WITH_ROW)
def test_lookup_field(endpoint):
    kwargs = {"pk": endpoint.row.pk}

    assert endpoint.respond(lookup_field="pk", kwargs=kwargs).status_code == 200


@each(WITH_ROW)
@pytest.mark.parametrize("value", ["0", "many", "a\0b", "\ud800", "9" * 30, "1 OR 1=1"])
def test_a_lookup_without_a_row_is_not_found(endpoint, value):
    assert endpoint.respond(lookup_field="pk", kwargs={"pk": value}).status_code == 404


@each(WITH_ROW)
def test_lookup_url_kwarg(endpoint):
    [value] = endpoint.kwargs.values()

    assert endpoint.respond(lookup_url_kwarg="id", kwargs={"id": value}).status_code == 200


@each(WITH_ROW)
def test_filter_backends(endpoint):
    assert endpoint.respond(filter_backends=[Hidden]).status_code == 404


@each(WITH_ROW)
def test_filter_queryset(endpoint):
    def filter_queryset(self, queryset):
        return queryset.none()

    assert endpoint.respond(filter_queryset=filter_queryset).status_code == 404


@each(WITH_ROW)
def test_permissions_for_the_row(endpoint):
    response = endpoint.respond(permission_classes=[RowDenied])

    assert (response.status_code, response.data["detail"]) == (403, "Not this one.")


# Creating and updating


def test_perform_create(payer, fake):
    user = make_user()

    def perform_create(self, serializer):
        serializer.save(user=user)

    response = endpoints.customers(payer).respond(perform_create=perform_create)

    assert response.status_code == 201
    assert StripeCustomer.objects.get().user == user


def test_perform_create_with_a_plain_save(payer, fake):
    saved = []

    def perform_create(self, serializer):
        saved.append(serializer.save())

    endpoints.customers(payer).respond(perform_create=perform_create)

    assert [it.user for it in saved] == [payer]


def test_perform_update(payer, fake):
    saved = []

    def perform_update(self, serializer):
        saved.append(serializer.save())

    response = endpoints.customer_details(payer).respond(perform_update=perform_update)

    assert response.status_code == 200
    assert [it.default_source_data["card"]["brand"] for it in saved] == ["mastercard"]


def test_a_patch_is_partial_for_the_fields_of_an_own_serializer(payer, fake):
    class Details(StripeCustomerDetailsSerializer):
        nickname = serializers.CharField(write_only=True)

        class Meta(StripeCustomerDetailsSerializer.Meta):
            fields = [*StripeCustomerDetailsSerializer.Meta.fields, "nickname"]

    endpoint = endpoints.customer_details(payer)

    assert endpoint.respond(serializer_class=Details).status_code == 200
    assert endpoint.respond(serializer_class=Details, method="put").status_code == 400


def test_a_charge_that_requires_action_has_its_secret_with_any_serializer(payer, fake):
    endpoint = endpoints.charge_details(payer)
    make_customer(payer, "tok_authenticationRequired")
    endpoint.row.charge()

    response = endpoint.respond(serializer_class=IdOnly)

    assert response.data["client_secret"].startswith("pi_")


# Lists


@pytest.mark.parametrize("maker", [*WITH_ROW, endpoints.customers], ids=lambda it: it.__name__)
def test_a_list_has_the_same_rows_and_is_paged(payer, fake, maker):
    endpoint = maker(payer)
    make_charge(make_customer(payer))
    make_charge(make_customer())  # another payer's
    for coupon_id in ("NEW", "OLD"):
        StripeCoupon.objects.create(coupon_id=coupon_id, percent_off=10, duration="once")
    StripeCoupon.objects.get(coupon_id="OLD").delete()
    model = endpoint.view.queryset.model
    hooks = {"serializer_class": IdOnly, "queryset": model.objects.order_by("pk")}
    hooks |= {"get": ListAPIView.get, "method": "get", "kwargs": {}}

    whole = endpoint.respond(ListAPIView, pagination_class=None, **hooks).data
    page = endpoint.respond(ListAPIView, pagination_class=Pages, **hooks).data

    own = {} if model is StripeCoupon else {"user": payer}
    keys = [str(it.pk) for it in model.objects.filter(**own).order_by("pk")]
    assert [it["pk"] for it in whole] == keys
    assert (page["count"], [it["pk"] for it in page["results"]]) == (len(keys), keys[:1])


# Safe by default


@each([endpoints.customer_details, endpoints.charge_details])
def test_a_queryset_of_all_rows_shows_only_the_payers_own(endpoint):
    endpoint.payer = make_user()

    assert endpoint.respond(queryset=type(endpoint.row).objects.all()).status_code == 404


@each(OF_PAYER)
def test_an_anonymous_request_that_is_permitted_has_no_payer(endpoint):
    response = endpoint.respond(is_signed_in=False, permission_classes=[AllowAny])

    assert response.status_code == 403
    assert str(response.data["detail"]) == "Authentication credentials were not provided."


def test_a_deleted_coupon_is_shown_only_if_the_queryset_has_it(payer, fake):
    endpoint = endpoints.coupon_details(payer)
    endpoint.row.delete()

    hidden = endpoint.respond(queryset=StripeCoupon.objects.all())
    shown = endpoint.respond(queryset=StripeCoupon.objects.all_with_deleted())

    assert (hidden.status_code, shown.status_code) == (404, 200)


def test_register_and_save_a_card_in_one_call(payer, fake):
    class Registration(StripeCustomerSerializer):
        username = serializers.CharField(write_only=True)

        class Meta(StripeCustomerSerializer.Meta):
            fields = [*StripeCustomerSerializer.Meta.fields, "username"]

    def perform_create(self, serializer):
        serializer.save(user=make_user(first_name=serializer.validated_data["username"]))

    endpoint = endpoints.customers(payer)
    endpoint.data = {**endpoint.data, "username": "Ada"}

    response = endpoint.respond(
        is_signed_in=False,
        permission_classes=[AllowAny],
        serializer_class=Registration,
        perform_create=perform_create,
    )

    assert response.status_code == 201
    assert StripeCustomer.objects.get().user.first_name == "Ada"
