"""A site whose view charges a row without a care for transactions."""

from __future__ import annotations

from django.http import HttpResponse
from django.urls import path

from aa_stripe.models import StripeCharge


def pay(request, pk):
    StripeCharge.objects.get(pk=pk).charge()
    return HttpResponse()


urlpatterns = [path("pay/<int:pk>/", pay)]
