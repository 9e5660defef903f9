"""Our migrations can be undone, back to the schema and the rows of 0.14 or completely."""

from __future__ import annotations

import json

from tests.migrations.databases import of_aa_stripe
from tests.migrations.old_site import JSON_COLUMNS


def recorded(database):
    """Return the recorded migrations of aa_stripe."""
    return database.all("SELECT name FROM django_migrations WHERE app = 'aa_stripe'")


def test_undoing_to_the_first_restores_the_schema_and_the_rows_of_0_13(
    upgraded, untouched, filled_once, old_site
):
    before = {table: upgraded.rows(table) for table in JSON_COLUMNS}

    upgraded.migrate("aa_stripe", "0001_squashed", "-v0")

    assert of_aa_stripe(upgraded) == sorted(JSON_COLUMNS)
    for table, columns in JSON_COLUMNS.items():
        assert upgraded.schema(table) == filled_once.schema(table)
        rows = upgraded.rows(table)
        assert rows.keys() == untouched[table].keys()
        for pk, row in rows.items():
            for column in columns:
                assert json.loads(row.pop(column)) == json.loads(before[table][pk][column])
            old = {name: untouched[table][pk][name] for name in row}
            assert row == old
    old_site.run("read.py", database=upgraded.settings)


#: Numbers that the columns of 0.14 cannot hold.
TOO_WIDE = [
    "UPDATE aa_stripe_stripecharge SET amount = 3000000000, object_id = 5000000000",
    "UPDATE aa_stripe_stripecoupon SET percent_off = 12.5, amount_off = 0.125",
    "UPDATE aa_stripe_stripesubscription SET tax_percent = 21",
]


def wide_numbers(database):
    charges = database.rows("aa_stripe_stripecharge").values()
    coupons = database.rows("aa_stripe_stripecoupon").values()
    subscriptions = database.rows("aa_stripe_stripesubscription").values()
    return (
        {(row["amount"], row["object_id"]) for row in charges},
        {(float(row["percent_off"]), float(row["amount_off"])) for row in coupons},
        {float(row["tax_percent"]) for row in subscriptions},
    )


def test_wide_numbers_survive_a_downgrade_and_do_not_keep_the_tables(upgraded, fresh_once):
    upgraded.execute(*TOO_WIDE)
    kept = wide_numbers(upgraded)

    output = upgraded.migrate("aa_stripe", "0001_squashed").stdout

    assert wide_numbers(upgraded) == kept
    assert "stripecoupon.percent_off stays wide: the value of a row needs it." in output
    assert "amount_refunded stays" not in output

    upgraded.migrate("aa_stripe", "-v0")

    assert wide_numbers(upgraded) == kept
    for table in JSON_COLUMNS:
        assert upgraded.schema(table) == fresh_once.schema(table)

    upgraded.migrate("aa_stripe", "zero", "-v0")

    assert of_aa_stripe(upgraded) == recorded(upgraded) == []


def test_all_migrations_can_be_undone_and_applied_again(fresh, fresh_once):
    fresh.migrate("aa_stripe", "zero", "-v0")

    assert of_aa_stripe(fresh) == recorded(fresh) == []

    fresh.migrate("aa_stripe", "-v0")

    for table in of_aa_stripe(fresh_once):
        assert fresh.schema(table) == fresh_once.schema(table)


def test_rows_without_a_user_survive_a_downgrade_and_a_new_upgrade(upgraded):
    upgraded.execute("UPDATE aa_stripe_stripecharge SET user_id = NULL, user_key = '7'")
    charges = upgraded.rows("aa_stripe_stripecharge").keys()

    undone = upgraded.migrate("aa_stripe", "0040", check=False)
    upgraded.migrate("aa_stripe", "-v0")

    if upgraded.vendor == "sqlite":
        assert "Rows have no stripecharge.user. Set it, or delete these rows" in undone.stderr
    else:
        assert "stripecharge.user may still be NULL" in undone.stdout
    rows = upgraded.rows("aa_stripe_stripecharge")
    assert rows.keys() == charges
    assert {row["user_id"] for row in rows.values()} == {None}
