"""The structure of the package and the words in it stay as the documentation describes them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import aa_stripe

PACKAGE = Path(aa_stripe.__file__).parent
TESTS = Path(__file__).parent

#: What each module or package directly below ``aa_stripe`` is for.
ROOMS = {
    "admin": "The pages of Django's admin.",
    "api": "The views of the HTTP API.",
    "api_urls": "The URLs of the HTTP API.",
    "apps": "The start-up of the app.",
    "checks": "System checks of the settings.",
    "contrib": "Task queues: Celery and Django's Tasks.",
    "currencies": "The currencies and their decimal places.",
    "deletion": "What is kept of a row when one that it refers to is deleted.",
    "events": "Typed reading of an event's objects.",
    "exceptions": "The exceptions.",
    "fields": "Fields for ids, which differ in letter case on every database.",
    "forms": "The admin's form for a coupon.",
    "gateway": "The calls to Stripe.",
    "inbox": "An incoming event: verify, store, hand over.",
    "jobs": "The unattended work, one function and one report each.",
    "management": "The management commands.",
    "migrations": "The history of the database schema.",
    "models": "The models, and the operations on their rows.",
    "money": "Conversion and format of amounts.",
    "payers": "The payer of a request to the HTTP API.",
    "processors": "The functions that pass the key of a row to a queue.",
    "refusals": "Stripe's refusals, as errors of the HTTP API.",
    "serializers": "Validation and representation in the HTTP API.",
    "settings": "The settings and their defaults.",
    "signals": "The signals.",
    "stripe_webhooks": "The built-in handlers, one module for each noun.",
    "testing": "The offline Stripe.",
    "utils": "Conversions of text, JSON and time.",
    "webhook_api": "The view of the webhook endpoint.",
    "webhooks": "The registry of handlers.",
}

#: What each module or room directly below ``aa_stripe.models`` is for.
MODEL_ROOMS = {
    "amount": "A field for an amount in the smallest unit.",
    "base": "Behaviour that several models share.",
    "changes": "The fields that differ from the row.",
    "charge": "A charge and its refunds.",
    "claims": "Which process works on a row.",
    "closing": "Ending all that a user has at Stripe.",
    "coupon": "A coupon, the same here and at Stripe.",
    "customer": "A customer and its payment methods.",
    "erasable": "What stays of an erased row.",
    "erasing": "Erasing what may identify a user.",
    "job_run": "What a job remembers of its runs.",
    "keys": "Idempotency keys of objects that do no harm.",
    "latest": "What Stripe said last about a row.",
    "legacy": "The keys that Stripe's objects had at the time of 0.14.",
    "now": "The time of the database's clock.",
    "plan": "A plan.",
    "protected": "Rows that are not deleted while Stripe may bill or pay for them.",
    "rows": "Locks, conditional writes, and iteration over tables.",
    "search": "What Stripe made for a row that does not know its id.",
    "statements": "Statements about one row, composed without the compiler.",
    "subscription": "A subscription.",
    "text": "A text field that distinguishes trailing spaces on every database.",
    "webhook": "A stored event and its application.",
}

#: What each module or room directly below ``aa_stripe.testing`` is for.
TESTING_ROOMS = {
    "__main__": "The offline Stripe as a command.",
    "account": "The objects of an account.",
    "base": "Ids, texts, numbers and errors.",
    "billing": "The life cycle of a subscription.",
    "cards": "The test cards.",
    "dashboard": "Actions of staff in the Dashboard.",
    "deliveries": "Deliveries of a served account's events.",
    "fake": "FakeStripe.",
    "fixtures": "The plugin for pytest.",
    "http": "Requests and responses.",
    "network": "Stripe's own addresses are blocked.",
    "payments": "The attempts of a payment.",
    "resources": "The endpoints, one family a module.",
    "webhooks": "Events, signatures and deliveries.",
}

LONGEST_MODULE = 300  # lines
MAY_BE_LONGER = {"gateway.py", "checks.py"}

#: Words that are not plain here, with what to write instead.
WORDS = {
    r"\banswer(s|ed|ing)?\b": "response, respond",
    r"\b(tells?|told)\b": "say what happens: send, report, return, show",
    r"\bis so\b": "name the state",
    r"\bwas to follow\b": "callback",
    r"\b(leaves?|left) alone\b": "skip",
    r"\b(takes?|took|taken|taking) over\b": "settle, update from Stripe, adopt",
    r"\bis at it\b": "holds the claim or the lock",
    r"\b(somebody|whoever|nobody)\b": "name the process, the user or the customer",
    r"\bWhat is (answered|told|asked)\b": "a noun",
}

#: Public names and values that contain such a word.
PUBLIC_NAMES = ('ANSWER_LOST = "answer lost"', "ANSWER_LOST", "take_over_refunds")


def modules(*parts):
    return sorted(PACKAGE.joinpath(*parts).rglob("*.py"))


def modules_and_tests():
    tests = TESTS.rglob("*.py")
    return [*modules(), *sorted(path for path in tests if path != Path(__file__))]


def sources():
    return [path for path in modules() if "migrations" not in path.parts]


def name_of(path):
    folder = PACKAGE if path.is_relative_to(PACKAGE) else TESTS.parent
    return path.relative_to(folder).as_posix()


def rooms_of(folder):
    found = {path.stem for path in folder.glob("*.py") if path.stem != "__init__"}
    return found | {path.parent.name for path in folder.glob("*/__init__.py")}


@pytest.mark.parametrize(
    ("folder", "rooms"),
    [("", ROOMS), ("models", MODEL_ROOMS), ("testing", TESTING_ROOMS)],
    ids=["aa_stripe", "aa_stripe.models", "aa_stripe.testing"],
)
def test_each_room_is_listed_with_its_purpose(folder, rooms):
    assert rooms_of(PACKAGE / folder) == set(rooms)


@pytest.mark.parametrize("path", sources(), ids=name_of)
def test_a_module_is_short_enough_to_read(path):
    lines = path.read_text("utf-8").count("\n")

    assert lines <= LONGEST_MODULE or name_of(path) in MAY_BE_LONGER


@pytest.mark.parametrize("path", modules_and_tests(), ids=name_of)
def test_the_words_are_plain(path):
    text = path.read_text("utf-8")
    for name in PUBLIC_NAMES:
        text = text.replace(name, "")

    found = {
        match.group(0): instead
        for word, instead in WORDS.items()
        for match in re.finditer(word, text, re.IGNORECASE)
    }

    assert found == {}


@pytest.mark.parametrize("path", modules_and_tests(), ids=name_of)
def test_a_docstring_begins_with_a_verb_or_a_noun(path):
    text = path.read_text("utf-8")

    assert re.findall(r'"""(?:Whether|Let|That|So often)\b.*', text) == []
