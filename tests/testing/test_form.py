from __future__ import annotations

import pytest

from aa_stripe.testing.base.form import join, parse


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        ("", {}),
        ("a=1&b=two+words", {"a": "1", "b": "two words"}),
        ("a=", {"a": ""}),
        ("a[b][c]=1&a[b][d]=2", {"a": {"b": {"c": "1", "d": "2"}}}),
        ("a%5Bb%5D=1", {"a": {"b": "1"}}),
        ("items[0][price]=x&items[1][price]=y", {"items": [{"price": "x"}, {"price": "y"}]}),
        ("expand[]=a&expand[]=b", {"expand": ["a", "b"]}),
        ("a[1]=x", {"a": {"1": "x"}}),
        ("a=1&a[b]=2", {"a": {"b": "2"}}),
        ("metadata[a.b]=c&metadata[ü]=%C3%BC", {"metadata": {"a.b": "c", "ü": "ü"}}),
    ],
)
def test_parameters_are_nested_by_their_names(encoded, expected):
    assert parse(encoded) == expected


def test_a_name_is_joined_as_stripe_writes_it():
    assert join("", "metadata") == "metadata"
    assert join(join("items", 0), "price") == "items[0][price]"
