"""docs/reference documents every public name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import load_command_class
from django.dispatch import Signal

import aa_stripe.checks
from aa_stripe import exceptions, jobs, models, money, signals, testing
from aa_stripe.settings import DEFAULTS, UNPREFIXED
from aa_stripe.testing import FakeStripe
from tests.docs.blocks import ROOT

REFERENCE = ROOT / "docs" / "reference"
PACKAGE = Path(aa_stripe.__file__).parent


def objects(page, *directives):
    """Return the names that one of the ``directives`` documents on that page."""
    text = (REFERENCE / f"{page}.rst").read_text("utf-8")
    named = re.findall(rf"^ *\.\. (?:{'|'.join(directives)}):: ([\w.]+)", text, re.MULTILINE)
    return set(named)


def members(page, name):
    """Return the members that autodoc shows of the class of that name."""
    text = (REFERENCE / f"{page}.rst").read_text("utf-8")
    [listed] = re.findall(rf"^\.\. autoclass:: {name}\n   :members: (.*)$", text, re.MULTILINE)
    return {it.strip() for it in listed.split(",")}


def classes_of(module, base):
    return {
        name
        for name, it in vars(module).items()
        if isinstance(it, type) and issubclass(it, base) and it.__module__ == module.__name__
    }


def test_every_exception_is_documented():
    assert objects("exceptions", "autoexception") == classes_of(exceptions, Exception)


def test_every_signal_is_documented():
    known = {name for name, it in vars(signals).items() if isinstance(it, Signal)}

    assert objects("signals", "autodata") == known


def test_every_setting_is_documented():
    assert objects("settings", "setting") == {*(f"STRIPE_{name}" for name in DEFAULTS), *UNPREFIXED}


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_default_is_documented(name):
    text = (REFERENCE / "settings.rst").read_text("utf-8")
    [shown] = re.findall(rf"^\.\. setting:: STRIPE_{name}\n\n   Default: ``(.*?)``", text, re.M)

    default = DEFAULTS[name]
    assert shown == (f'"{default}"' if isinstance(default, str) else str(default))


def test_every_command_and_option_is_documented():
    commands = {
        path.stem
        for path in (PACKAGE / "management" / "commands").glob("*.py")
        if path.stem != "__init__"
    }
    inherited = {"-h", "--help", "--version", "--settings", "--pythonpath", "--traceback"}
    inherited |= {"--no-color", "--force-color", "--skip-checks", "-v"}
    options = {
        option
        for name in commands
        for action in load_command_class("aa_stripe", name).create_parser("", name)._actions
        for option in action.option_strings
    }
    text = (REFERENCE / "commands.rst").read_text("utf-8")

    assert objects("commands", "djcommand") == commands
    assert set(re.findall(r"^ *\.\. option:: (\S+)", text, re.M)) == options - inherited


def test_every_check_is_documented():
    source = (PACKAGE / "checks.py").read_text("utf-8")

    ids = set(re.findall(r'"(aa_stripe\.[EW]\d+)"', source))

    assert objects("checks", "check") == ids


def test_every_job_is_documented():
    assert objects("jobs", "autofunction", "autoclass") == set(jobs.__all__)


def test_every_model_is_documented():
    # The models module of 0.14 imported these names. They are documented on other pages.
    elsewhere = set(dir(exceptions))
    known = {name for name in models.__all__ if name.startswith("Stripe")} - elsewhere

    assert objects("models", "autoclass") >= known


def test_every_field_that_a_project_may_set_is_documented():
    text = (REFERENCE / "models.rst").read_text("utf-8")
    hidden = {
        *("id", "created", "updated", "stripe_response", "uuid"),
        # The columns of a generic foreign key, and internal fields.
        *("content_type", "object_id", "signal_due", "identity", "submitted_token"),
        "StripeSubscriptionPlan.source",
    }
    missing = []
    for name in (it for it in objects("models", "autoclass") if hasattr(models, it)):
        fields = getattr(getattr(models, name), "_meta", None)
        if fields is None or name == "StripeToken":
            continue
        [section] = re.findall(
            rf"^\.\. autoclass:: {name}\n(.*?)(?=^\.\. |^\S|\Z)", text, re.M | re.S
        )
        for field in fields.local_fields:
            is_shown = f".. attribute:: {field.name}\n" in section
            if not is_shown and not {field.name, f"{name}.{field.name}"} & hidden:
                missing.append(f"{name}.{field.name}")

    assert missing == []


def test_every_function_of_money_is_documented():
    [listed] = re.findall(r":members: (.*)$", (REFERENCE / "money.rst").read_text("utf-8"), re.M)
    known = {
        name
        for name, it in vars(money).items()
        if getattr(it, "__module__", "") == money.__name__ and not name.startswith("_")
    }

    assert {it.strip() for it in listed.split(",")} == known


def test_every_public_name_of_the_offline_stripe_is_documented():
    shown = objects("testing", "autoclass", "autoexception", "autofunction", "data")

    assert shown - {"fake_stripe", "fake_stripe_with_card_tokens"} == set(testing.__all__)
    assert members("testing", "FakeStripe") == {
        "__init__",
        *(name for name in vars(FakeStripe) if not name.startswith("_")),
    }
