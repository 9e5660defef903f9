"""The overview in docs/settings.rst has each setting with its default."""

from __future__ import annotations

from aa_stripe.settings import DEFAULTS, UNPREFIXED
from tests.docs.blocks import ROOT, table_below


def shown(default):
    return f'"{default}"' if isinstance(default, str) else str(default)


def test_the_overview_has_each_setting_with_its_default():
    table = {
        setting: default
        for setting, default, _ in table_below(ROOT / "docs" / "settings.rst", "Overview")
    }

    assert table == {
        **{f"STRIPE_{name}": shown(default) for name, default in DEFAULTS.items()},
        **{name: shown(default) for name, default in UNPREFIXED.items()},
        "STRIPE_USER_MODEL": "AUTH_USER_MODEL",  # the meaning of None
    }
