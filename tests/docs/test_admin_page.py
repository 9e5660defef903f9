"""What docs/admin.rst shows does what the page says of it."""

from __future__ import annotations

import re

from django.apps import apps
from django.contrib import admin

from aa_stripe.models import StripeCharge, StripeToken
from tests.docs.blocks import ROOT, run, the_block

PAGE = "admin.rst"


def test_a_projects_own_page_takes_the_place_of_ours(charge, rf, admin_user, request):
    names = run(the_block(PAGE, "class ChargeAdmin"), request)
    asked = rf.get("/")
    asked.user = admin_user

    page = admin.site._registry[StripeCharge]
    answer = page.changelist_view(asked).render()

    assert isinstance(page, names["ChargeAdmin"])
    assert "column-comment" in answer.content.decode()


def test_each_model_has_its_row_in_the_table():
    page = (ROOT / "docs" / PAGE).read_text("utf-8")
    listed = re.findall(r"^   \* - (\w+)", page, re.MULTILINE)[1:]  # without the heading

    named = {
        it.__name__.removeprefix("Stripe").removeprefix("Subscription").lower() or "subscription"
        for it in apps.get_app_config("aa_stripe").get_models()
        if it is not StripeToken
    }

    assert {name.lower().removesuffix("s") for name in listed} == named
