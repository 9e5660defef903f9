"""The examples of docs/admin.rst work as the page says."""

from __future__ import annotations

import re

from django.apps import apps
from django.contrib import admin

from aa_stripe.models import StripeCharge, StripeToken
from tests.docs.blocks import ROOT, run, the_block

PAGE = "admin.rst"


def test_a_project_can_replace_an_admin_page(charge, rf, admin_user, request):
    names = run(the_block(PAGE, "class ChargeAdmin"), request)
    http_request = rf.get("/")
    http_request.user = admin_user

    page = admin.site._registry[StripeCharge]
    response = page.changelist_view(http_request).render()

    assert isinstance(page, names["ChargeAdmin"])
    assert "column-comment" in response.content.decode()


def test_the_table_has_a_row_for_each_model():
    page = (ROOT / "docs" / PAGE).read_text("utf-8")
    listed = re.findall(r"^   \* - ([\w ]+)", page, re.MULTILINE)[1:]  # without the header

    named = {
        it.__name__.removeprefix("Stripe").removeprefix("Subscription").lower() or "subscription"
        for it in apps.get_app_config("aa_stripe").get_models()
        if it is not StripeToken
    }

    assert {name.lower().replace(" ", "").removesuffix("s") for name in listed} == named
