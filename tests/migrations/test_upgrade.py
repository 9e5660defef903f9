"""A database of the real 0.13.0, upgraded and compared row by row."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from aa_stripe.migrations._json_text import UNREADABLE
from tests.migrations.old_site import JSON_COLUMNS
from tests.migrations.site_0_13.dirty import READABLE, UNSTORABLE

EVERY_JSON_COLUMN = [(table, column) for table in JSON_COLUMNS for column in JSON_COLUMNS[table]]

#: The values after the upgrade of those texts of ``UNSTORABLE`` that Python reads as JSON.
KEPT_AS = {
    "empty": {},
    "NaN": {"n": "NaN"},
    "Infinity": ["Infinity", "-Infinity"],
    "NUL": {"note": r"a\u0000b"},
    "NUL in a key": {r"\u0000": 1},
    "NUL in a key that is there twice then": {r"\u0000_": 1, r"\u0000": 2},
    "NUL and backslash": {"note": r"c:\\x\u0000"},
    "lone high surrogate": {"note": r"a\ud83d"},
    "lone low surrogate": [r"\ude00"],
    "surrogates in the wrong order": [r"\ude00\ud83d"],
    "huge number": {"n": "1e400000"},
    "tiny number": {"n": "1e-400000"},
    "beyond floats": {"n": "1e400"},
    "endless integer": {"n": "9" * 5000},
    "endless decimals": {"n": "0." + "1" * 20000},
    "33 levels": json.loads('{"a": ' * 31 + r'"{\"b\": [1]}"' + "}" * 31),
    "500 levels": json.loads("[" * 31 + f'"{"[" * 469}{"]" * 469}"' + "]" * 31),
}


def kept_as(name, column):
    """Return the expected value in ``column`` after the upgrade of the text named ``name``."""
    if name in READABLE:
        return json.loads(READABLE[name])
    if name == "empty" and column == "sources":
        return []
    if name in KEPT_AS:
        return KEPT_AS[name]
    unreadable = {UNREADABLE: UNSTORABLE[name]}
    return [unreadable] if column == "sources" else unreadable


def names_of(untouched, table, column):
    """Return the name of the text in ``column``, by primary key."""
    names = {text: name for name, text in {**READABLE, **UNSTORABLE}.items()}
    return {pk: names[row[column]] for pk, row in untouched[table].items()}


def with_new_meaning(old):
    """Return the row of 0.14 as it is today: a webhook with an error is parsed."""
    return {**old, "is_parsed": True} if old.get("parse_error") else old


@pytest.mark.parametrize("table", JSON_COLUMNS)
def test_every_row_keeps_its_other_columns(upgraded_once, untouched, table):
    upgraded = upgraded_once.rows(table)

    assert upgraded.keys() == untouched[table].keys()
    for pk, old in untouched[table].items():
        expected = with_new_meaning(old)
        others = {name: expected[name] for name in expected if name not in JSON_COLUMNS[table]}
        assert {name: upgraded[pk][name] for name in others} == others


@pytest.mark.parametrize(("table", "column"), EVERY_JSON_COLUMN)
def test_every_json_text_keeps_its_value_or_stays_readable(upgraded_once, untouched, table, column):
    upgraded = upgraded_once.rows(table)

    names = names_of(untouched, table, column)

    assert set(names.values()) == {*READABLE, *UNSTORABLE}
    for pk, name in names.items():
        assert json.loads(upgraded[pk][column]) == kept_as(name, column), name


@pytest.mark.parametrize(("table", "column"), EVERY_JSON_COLUMN)
def test_storable_json_keeps_its_text(upgraded_once, untouched, table, column):
    if upgraded_once.vendor == "postgresql":
        pytest.skip("jsonb does not keep the text that it was made of")

    upgraded = upgraded_once.rows(table)

    for pk, name in names_of(untouched, table, column).items():
        if name in READABLE:
            assert upgraded[pk][column] == READABLE[name]


def test_the_tables_of_other_apps_keep_their_rows(upgraded_once, untouched):
    for table in ("auth_user", "django_site", "django_content_type"):
        upgraded = upgraded_once.rows(table)
        assert untouched[table].items() <= upgraded.items()


@pytest.mark.parametrize(("table", "column"), EVERY_JSON_COLUMN)
def test_changes_of_json_are_reported(upgraded_once, untouched, table, column):
    names = names_of(untouched, table, column)
    [with_nan] = (pk for pk, name in names.items() if name == "NaN")
    [empty] = (pk for pk, name in names.items() if name == "empty")
    model = table.removeprefix("aa_stripe_")

    output = upgraded_once.output

    assert f"{model}.{column} has NaN or Infinity, now strings: 2 ({with_nan}, " in output
    assert f"{model}.{column} was empty: 1 ({empty})" in output


def test_each_old_row_gets_a_unique_uuid(upgraded_once):
    uuids = [
        row["uuid"]
        for table in JSON_COLUMNS
        if table != "aa_stripe_stripewebhook"
        for row in upgraded_once.rows(table).values()
    ]

    assert None not in uuids
    assert len(set(uuids)) == len(uuids) == 5 * len({**READABLE, **UNSTORABLE})


def test_old_charges_are_in_us_dollars_with_any_default_currency(upgraded_once):
    charges = upgraded_once.rows("aa_stripe_stripecharge").values()

    assert {charge["currency"] for charge in charges} == {"usd"}


def test_old_charges_have_no_due_signal_and_no_payment_intent(upgraded_once):
    charges = upgraded_once.rows("aa_stripe_stripecharge").values()

    assert {row["signal_due"] for row in charges} == {""}
    assert {row["stripe_payment_intent_id"] for row in charges} == {""}


def test_plans_at_stripe_keep_the_id_that_0_13_gave_them(upgraded_once):
    for pk, plan in upgraded_once.rows("aa_stripe_stripesubscriptionplan").items():
        assert plan["stripe_plan_id"] == (str(pk) if plan["is_created_at_stripe"] else "")


def test_old_webhooks_wait_for_no_retry_and_no_other_key(upgraded_once):
    for webhook in upgraded_once.rows("aa_stripe_stripewebhook").values():
        assert webhook["retry_at"] is None
        assert not webhook["is_wrong_mode"]


def test_our_models_read_and_save_upgraded_rows(upgraded):
    upgraded.run(module="tests.migrations.read_and_save")

    charges = upgraded.rows("aa_stripe_stripecharge").values()
    assert {charge["comment"] for charge in charges} == {"saved"}


def test_migrating_again_finds_nothing_to_do(upgraded_once):
    assert "No migrations to apply" in upgraded_once.migrate("aa_stripe").stdout


def test_a_project_without_the_migration_records_can_fake_the_first(filled, untouched):
    filled.execute("DELETE FROM django_migrations WHERE app = 'aa_stripe'")

    filled.migrate("aa_stripe", "0023", "--fake-initial", "-v0")

    table = "aa_stripe_stripecharge"
    assert filled.rows(table) == untouched[table]
    recorded = filled.all("SELECT name FROM django_migrations WHERE app = 'aa_stripe'")
    assert ("0022_stripecharge_amount_refunded",) in recorded


#: A different history of the same database: other names of indexes, another order of columns.
ANOTHER_HISTORY = {
    "sqlite": [
        "DROP INDEX aa_stripe_stripecharge_object_id_97a62c0e",
        "CREATE INDEX another_name ON aa_stripe_stripecharge (object_id)",
        "ALTER TABLE aa_stripe_stripecoupon RENAME COLUMN currency TO moved",
        "ALTER TABLE aa_stripe_stripecoupon ADD COLUMN currency varchar(3)",
        "UPDATE aa_stripe_stripecoupon SET currency = moved",
        "ALTER TABLE aa_stripe_stripecoupon DROP COLUMN moved",
    ],
    "postgresql": [
        "ALTER INDEX aa_stripe_stripecharge_object_id_97a62c0e RENAME TO another_name",
        """
        ALTER TABLE aa_stripe_stripecoupon
        RENAME CONSTRAINT aa_stripe_stripecoupon_percent_off_check TO another_check
        """,
        """
        ALTER TABLE aa_stripe_stripecharge
        RENAME CONSTRAINT aa_stripe_stripecharge_user_id_6f76c244_fk_auth_user_id TO another_fk
        """,
        "ALTER TABLE aa_stripe_stripewebhook RENAME raw_data TO moved",
        "ALTER TABLE aa_stripe_stripewebhook ADD raw_data text",
        "UPDATE aa_stripe_stripewebhook SET raw_data = moved",
        "ALTER TABLE aa_stripe_stripewebhook DROP moved, ALTER raw_data SET NOT NULL",
    ],
    "mysql": [
        """
        ALTER TABLE aa_stripe_stripecharge
        RENAME INDEX aa_stripe_stripecharge_object_id_97a62c0e TO another_name
        """,
        "ALTER TABLE aa_stripe_stripewebhook MODIFY raw_data longtext NOT NULL FIRST",
    ],
}


def test_a_database_with_other_index_names_and_column_order_is_upgraded(
    filled, upgraded_once, untouched
):
    filled.execute(*ANOTHER_HISTORY[filled.vendor])

    filled.migrate("aa_stripe", "-v0")

    for table, columns in JSON_COLUMNS.items():
        assert filled.schema(table) == upgraded_once.schema(table)
        upgraded = filled.rows(table)
        for column in columns:
            for pk, name in names_of(untouched, table, column).items():
                assert json.loads(upgraded[pk][column]) == kept_as(name, column), name


def test_ids_may_be_serial(filled, upgraded_once):
    if filled.vendor != "postgresql":
        pytest.skip("only PostgreSQL has two ways of numbering rows")
    for table in JSON_COLUMNS:
        if table != "aa_stripe_stripewebhook":
            filled.execute(
                f"ALTER TABLE {table} ALTER id DROP IDENTITY",
                f"CREATE SEQUENCE {table}_id_seq OWNED BY {table}.id",
                f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))",
                f"ALTER TABLE {table} ALTER id SET DEFAULT nextval('{table}_id_seq')",
            )

    filled.migrate("aa_stripe", "-v0")
    filled.run(module="tests.migrations.read_and_save")

    table = "aa_stripe_stripecharge"
    assert filled.schema(table)["columns"]["id"] == ["integer", True, ""]
    assert filled.schema(table)["constraints"] == upgraded_once.schema(table)["constraints"]


def test_a_json_null_becomes_the_default(filled):
    if filled.vendor == "sqlite":
        pytest.skip("SQLite cannot take NOT NULL off a column")
    off = "ALTER {0} DROP NOT NULL" if filled.vendor == "postgresql" else "MODIFY {0} longtext NULL"
    filled.execute(
        f"ALTER TABLE aa_stripe_stripecustomer {off.format('sources')}",
        "UPDATE aa_stripe_stripecustomer SET sources = NULL",
    )

    filled.migrate("aa_stripe", "0025", "-v0")

    customers = filled.rows("aa_stripe_stripecustomer").values()
    assert {customer["sources"] for customer in customers} == {"[]"}


def test_bytes_that_are_not_utf_8_stay_readable(filled):
    if filled.vendor != "sqlite":
        pytest.skip("only SQLite stores text that is not UTF-8")
    filled.execute(
        "UPDATE aa_stripe_stripewebhook SET raw_data = CAST(x'7b2261223a22ff227d' AS TEXT)"
        " WHERE id = 'evt_1'",
        "UPDATE aa_stripe_stripewebhook SET raw_data = x'7b2261223a2262227d' WHERE id = 'evt_2'",
        "UPDATE aa_stripe_stripewebhook SET raw_data = 'no' || char(0) || 'JSON'"
        " WHERE id = 'evt_3'",
    )

    output = filled.migrate("aa_stripe", "0025").stdout

    webhooks = filled.rows("aa_stripe_stripewebhook")
    assert json.loads(webhooks["evt_1"]["raw_data"]) == {"a": r"\udcff"}
    assert json.loads(webhooks["evt_2"]["raw_data"]) == {"a": "b"}
    assert json.loads(webhooks["evt_3"]["raw_data"]) == {UNREADABLE: r"no\u0000JSON"}
    assert "stripewebhook.raw_data was not stored as text in UTF-8: 2 (evt_1, evt_2)" in output


def test_nothing_is_reported_if_nothing_was_changed(fresh_once):
    assert "Applying aa_stripe.0024_storable_json... OK" in fresh_once.output


def test_numbers_keep_every_digit(upgraded_once):
    coupons = upgraded_once.rows("aa_stripe_stripecoupon").values()
    subscriptions = upgraded_once.rows("aa_stripe_stripesubscription").values()

    assert {Decimal(str(row["amount_off"])) for row in coupons if row["amount_off"]} == {
        Decimal("99999999.99")
    }
    assert {Decimal(str(row["tax_percent"])) for row in subscriptions} == {Decimal("9.99")}
