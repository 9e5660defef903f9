"""docs/installation.rst: the URLs, the settings and the demo are as the page says."""

from __future__ import annotations

from aa_stripe.settings import DEFAULTS
from demo.__main__ import REAL
from tests.docs.blocks import ROOT, run, table_below, the_block

PAGE = "installation.rst"
PATH = ROOT / "docs" / PAGE
TEXT = " ".join(PATH.read_text("utf-8").split())


def test_the_urls_include_the_endpoints(request):
    names = run(the_block(PAGE, "urlpatterns"), request)

    [included] = names["urlpatterns"]
    assert {it.name for it in included.url_patterns} >= {
        "stripe-customers",
        "stripe-charge-details",
        "stripe-webhooks",
    }


def test_each_setting_in_the_table_exists_with_the_shown_default():
    for setting, default, _ in table_below(PATH, "Settings"):
        known = DEFAULTS[setting.removeprefix("STRIPE_")]
        shown = {"AUTH_USER_MODEL": None, "None": None}.get(default, default)
        assert (f'"{known}"' if isinstance(known, str) else known and str(known)) == shown, setting


def test_the_page_and_the_demo_list_the_same_objects():
    for what in (
        "20.00, 35.00 and 12.50 USD, of which the second is declined",
        "5.00 USD",
        "plan of 40.00 USD a month",
        "coupon 25 % off, once",
        "subscription with that coupon, which pays 30.00 USD and is canceled",
        "it ends with its month",
    ):
        assert what in TEXT.replace("(", "").replace(")", "")
        assert what in REAL.replace("(", "").replace(")", "")
