"""The rules that make a JSON text storable in every database."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aa_stripe.migrations._json_text import BAD_CHARACTER, MAX_DEPTH, UNREADABLE, storable

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
)


def depth(value):
    if not isinstance(value, (dict, list)):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return 1 + max(map(depth, inner), default=0)


def strings(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for inner in (*value, *(value.values() if isinstance(value, dict) else ())):
            yield from strings(inner)


@given(anything)
def test_any_json_that_python_writes_becomes_json_that_every_database_accepts(value):
    stored, _ = storable(json.dumps(value), "{}")

    def reject(constant):
        raise AssertionError(constant)

    result = json.loads(stored, parse_constant=reject)
    assert depth(result) <= MAX_DEPTH
    assert not any(re.search("[\0\ud800-\udfff]", string) for string in strings(result))


@given(anything)
def test_a_storable_text_is_not_changed_again(value):
    once, _ = storable(json.dumps(value), "{}")

    assert storable(once, "{}") == (once, [])


@given(st.text(st.characters()))
def test_any_text_becomes_json(text):
    stored, changes = storable(text, "{}")

    json.loads(stored)
    assert bool(changes) == (stored != text)


@given(st.text(st.characters()))
def test_an_escaped_string_can_be_read_back(text):
    stored, changes = storable(json.dumps(text), "{}")

    string = json.loads(stored)
    if changes:
        escapes = re.compile(r"\\(\\|u[0-9a-f]{4})")
        string = escapes.sub(
            lambda match: "\\" if match[1] == "\\" else chr(int(match[1][1:], 16)), string
        )
    assert string == text


@given(
    st.dictionaries(st.sampled_from(["\0", "\\u0000", "\\u0000_", "\ud800", "\\", "a"]), st.none())
)
def test_no_key_is_lost(value):
    stored, _ = storable(json.dumps(value), "{}")

    assert len(json.loads(stored)) == len(value)


@pytest.mark.parametrize("spaces", ["", " ", "\n\t"])
def test_storable_json_keeps_its_text(spaces):
    text = f'{{"b":1, "a" :{spaces} [1.50, "\\u00e9"]}}'

    assert storable(text, "{}") == (text, [])


@pytest.mark.parametrize(
    ("default", "expected"), [("{}", {UNREADABLE: "?"}), ("[]", [{UNREADABLE: "?"}])]
)
def test_invalid_json_is_kept_in_the_type_of_the_field(default, expected):
    stored, changes = storable("?", default)

    assert json.loads(stored) == expected
    assert changes == [f'is not JSON, now under "{UNREADABLE}"']


def test_every_change_of_a_text_is_reported():
    _, changes = storable('["\\u0000", NaN, 1e999]', "{}")

    assert changes == [
        "has NUL or half a surrogate pair, now escaped",
        "has NaN or Infinity, now strings",
        "has a number too large, now a string",
    ]


def test_only_surrogates_that_are_not_a_pair_are_changed():
    assert storable('"\\ud83d\\ude00"', "{}")[1] == []
    assert storable('"\\ude00\\ud83d"', "{}")[1] == [BAD_CHARACTER]
