"""The example of README.rst works, its links exist, and what it says is true."""

from __future__ import annotations

import re

import docutils.core
import pytest
from django.apps import apps
from django.contrib import admin
from docutils import nodes

from aa_stripe.models import StripeCharge, StripeCoupon, StripeToken
from tests.docs.blocks import ROOT, pages_in_toctrees, run, the_block

OUR_MODELS = set(apps.get_app_config("aa_stripe").get_models()) - {StripeToken}

README = (ROOT / "README.rst").read_text("utf-8")
TEXT = " ".join(README.split())

LINKS = [
    reference["refuri"]
    for reference in docutils.core.publish_doctree(README).findall(nodes.reference)
    if "refuri" in reference
]
#: The linked files.
FILES = sorted({link.partition("#")[0] for link in LINKS if "://" not in link})


def test_the_quick_start_collects_and_refunds(fake, user, request):
    run(the_block("README.rst", "20_00"), request, user=user)

    charge = StripeCharge.objects.get()
    assert charge.is_charged
    assert (charge.amount, charge.amount_refunded) == (20_00, 5_00)


def test_the_readme_has_at_most_200_lines():
    assert len(README.splitlines()) <= 200


@pytest.mark.parametrize("path", FILES)
def test_each_linked_file_exists(path):
    assert (ROOT / path).is_file()


@pytest.mark.parametrize("path", [path for path in FILES if path.startswith("docs/")])
def test_each_linked_page_is_in_the_index(path):
    assert ROOT / path in pages_in_toctrees()


@pytest.mark.parametrize(
    "page",
    ["installation", "charging", "testing", "webhooks", "upgrading", "operations"],
)
def test_the_readme_and_the_index_link_to_each_task(page):
    index = (ROOT / "docs" / "index.rst").read_text("utf-8")

    assert f"docs/{page}.rst" in FILES
    assert re.search(rf"^   {page}$", index, re.MULTILINE)


def test_the_readme_and_the_index_link_to_contributing():
    index = (ROOT / "docs" / "index.rst").read_text("utf-8")

    assert "CONTRIBUTING.rst" in FILES
    assert re.search(r"^   contributing$", index, re.MULTILINE)


def test_each_target_of_make_exists():
    makefile = (ROOT / "Makefile").read_text("utf-8")

    targets = set(re.findall(r"\bmake (demo|test|lint|bench|docs)\b", README))

    assert targets == {"demo", "test", "lint", "bench", "docs"}
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_the_supported_versions_are_those_of_the_package():
    pyproject = (ROOT / "pyproject.toml").read_text("utf-8")
    pythons = re.findall(r"Python :: (3\.\d+)", pyproject)
    djangos = re.findall(r"Django :: (\d\.\d)", pyproject)

    assert f"Python {pythons[0]} to {pythons[-1]}, " in TEXT
    assert f"Django {', '.join(djangos[:-1])} and {djangos[-1]}, " in TEXT
    assert '"stripe>=15,<17"' in pyproject
    assert "``stripe`` 15 and 16" in TEXT


def test_staff_can_view_each_model_and_change_only_coupons(rf, admin_user):
    request = rf.get("/")
    request.user = admin_user

    shown = {it: page for it, page in admin.site._registry.items() if it in OUR_MODELS}

    assert "can change coupons only" in TEXT
    assert set(shown) == OUR_MODELS
    assert all(page.has_view_permission(request) for page in shown.values())
    assert {it for it, page in shown.items() if page.has_change_permission(request)} == {
        StripeCoupon
    }
