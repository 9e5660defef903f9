"""The first migration creates the schema of 0.14; after the last, old and new sites are equal."""

from __future__ import annotations

import pytest

from tests.migrations.databases import of_aa_stripe, temporary
from tests.migrations.old_site import JSON_COLUMNS


@pytest.fixture(scope="module")
def squashed_only(unblocked, new_name):
    """A new database with only the first of our migrations, which replaces those of 0.14."""
    with temporary(new_name()) as database:
        database.migrate("aa_stripe", "0001_squashed", "-v0")
        yield database


def test_the_first_migration_creates_the_tables_of_0_13(squashed_only, filled_once):
    assert of_aa_stripe(squashed_only) == of_aa_stripe(filled_once) == sorted(JSON_COLUMNS)


@pytest.mark.parametrize("table", JSON_COLUMNS)
def test_the_first_migration_creates_each_table_as_0_13_did(squashed_only, filled_once, table):
    assert squashed_only.schema(table) == filled_once.schema(table)


def test_the_first_migration_records_those_of_0_13_too(squashed_only, filled_once):
    query = "SELECT name FROM django_migrations WHERE app = 'aa_stripe'"

    new, old = set(squashed_only.all(query)), set(filled_once.all(query))

    assert len(old) == 22
    assert new - old == {("0001_squashed_0022_stripecharge_amount_refunded",)}
    assert old <= new


@pytest.mark.parametrize("table", [*JSON_COLUMNS, "aa_stripe_striperefund"])
def test_an_upgraded_site_has_the_schema_of_a_new_one(upgraded_once, fresh_once, table):
    assert upgraded_once.schema(table) == fresh_once.schema(table)


NATIVE_JSON = {"sqlite": "text", "postgresql": "jsonb", "mysql": "longtext"}


@pytest.mark.parametrize("table", JSON_COLUMNS)
def test_json_columns_have_the_json_type_of_the_database(fresh_once, table):
    schema = fresh_once.schema(table)

    checked = {
        column
        for columns, kind, _ in schema["constraints"]
        if kind == "check"
        for column in columns
    }
    for column in JSON_COLUMNS[table]:
        assert schema["columns"][column][0] == NATIVE_JSON[fresh_once.vendor]
        assert fresh_once.vendor == "postgresql" or column in checked


def test_ids_stay_32_bit_and_object_id_becomes_wider(fresh_once):
    columns = fresh_once.schema("aa_stripe_stripecharge")["columns"]

    assert columns["id"][0] in ("integer", "int(11)")
    assert columns["object_id"][0] in ("bigint unsigned", "bigint", "bigint(20) unsigned")


@pytest.mark.parametrize("project", ["default", "big_ids", "office"])
def test_no_project_has_to_make_migrations(empty, project):
    made = empty.run(
        "makemigrations", "--check", "--dry-run", DJANGO_SETTINGS_MODULE=SETTINGS[project]
    )

    assert "No changes detected" in made.stdout


SETTINGS = {
    "default": "tests.settings",
    "big_ids": "tests.migrations.settings_big_ids",
    "office": "tests.migrations.settings_office",
}


def test_the_payer_may_be_another_model_than_the_user(empty, old_site, new_name):
    with temporary(new_name()) as old:
        old_site.run(
            "manage.py", "migrate", "-v0", database=old.settings, SITE_USER_MODEL="sites.Site"
        )
        empty.migrate(
            "aa_stripe", "0001_squashed", "-v0", DJANGO_SETTINGS_MODULE=SETTINGS["office"]
        )

        for table in JSON_COLUMNS:
            assert empty.schema(table) == old.schema(table)

    constraints = empty.schema("aa_stripe_stripecharge")["constraints"]
    assert (("user_id",), "foreign_key", ("django_site", "id")) in constraints


@pytest.mark.parametrize("table", ["aa_stripe_stripecharge", "aa_stripe_stripecustomer"])
def test_a_payer_with_a_text_key_may_be_absent(text_keys, fresh_once, table):
    column, of_integer = (it.schema(table)["columns"]["user_id"] for it in (text_keys, fresh_once))

    assert column[1] == of_integer[1]
    assert text_keys.vendor != "mysql" or column[-1] == "utf8mb4_bin"


@pytest.fixture(scope="module")
def text_keys(unblocked, new_name):
    """A new database of a project whose payers have a text as their primary key."""
    with temporary(new_name()) as database:
        project = "tests.migrations.settings_text_keys"
        database.migrate("--run-syncdb", "-v0", DJANGO_SETTINGS_MODULE=project)
        yield database
