"""The 22 migrations of 0.14 exist, so that a site may depend on them or have stopped at any."""

from __future__ import annotations

import pytest
from django.db import migrations
from django.db.migrations.loader import MigrationLoader

from tests.migrations.databases import of_aa_stripe
from tests.migrations.old_site import JSON_COLUMNS

SQUASHED = "0001_squashed_0022_stripecharge_amount_refunded"
LAST = "0022_stripecharge_amount_refunded"
SHOP = "tests.migrations.settings_shop"


def names_of_0_14():
    loader = MigrationLoader(None, replace_migrations=False)
    return [name for _, name in loader.graph.nodes["aa_stripe", SQUASHED].replaces]


def test_both_ways_create_the_same_models():
    loader = MigrationLoader(None, replace_migrations=False)

    squashed, walked = (loader.project_state(("aa_stripe", name)) for name in (SQUASHED, LAST))

    models = {key for key in squashed.models if key[0] == "aa_stripe"}
    assert models == {key for key in walked.models if key[0] == "aa_stripe"}
    for key in models:
        assert fields(squashed.models[key]) == fields(walked.models[key])
        assert squashed.models[key].options == walked.models[key].options


def fields(model):
    return {name: field.deconstruct()[1:] for name, field in model.fields.items()}


@pytest.mark.parametrize(
    ("app", "name"),
    [
        ("shop", "0001"),
        ("shop", "0002"),
        ("aa_stripe", "0010"),
        ("aa_stripe", "0001_squashed"),
        ("aa_stripe", "0026"),
        ("auth", "0001"),
    ],
)
def test_sqlmigrate_works_if_a_site_depends_on_old_and_new_migrations(filled_once, app, name):
    printed = filled_once.run("sqlmigrate", app, name, DJANGO_SETTINGS_MODULE=SHOP).stdout

    assert "ALTER" in printed or "CREATE" in printed


def test_a_site_that_depends_on_an_old_migration_can_fake_the_first(filled, untouched):
    filled.execute("DELETE FROM django_migrations WHERE app = 'aa_stripe'")

    filled.migrate("--fake-initial", "-v0", DJANGO_SETTINGS_MODULE=SHOP)

    assert "shop_order" in filled.tables()
    recorded = filled.all("SELECT name FROM django_migrations WHERE app = 'aa_stripe'")
    assert {(name,) for name in names_of_0_14()} <= set(recorded)
    assert (
        filled.rows("aa_stripe_stripecharge").keys() == untouched["aa_stripe_stripecharge"].keys()
    )


def test_a_site_with_all_records_needs_no_more_than_migrate(filled):
    filled.migrate("-v0", DJANGO_SETTINGS_MODULE=SHOP)

    assert "shop_order" in filled.tables()
    assert "uuid" in filled.schema("aa_stripe_stripecharge")["columns"]


@pytest.mark.parametrize("stopped_at", ["0001", "0003", "0009", "0012", "0020", "0021"])
def test_a_database_that_stopped_at_a_migration_of_0_14_goes_on(
    empty, old_site, filled_once, stopped_at
):
    old_site.run("manage.py", "migrate", "-v0", "aa_stripe", stopped_at, database=empty.settings)

    empty.migrate("aa_stripe", "0023", "-v0", DJANGO_SETTINGS_MODULE=SHOP)

    assert of_aa_stripe(empty) == of_aa_stripe(filled_once)
    for table in JSON_COLUMNS:
        assert empty.schema(table) == filled_once.schema(table)


def test_each_step_makes_the_schema_of_0_13(empty, old_site, new_name):
    """Compare the state after a step that both packages make from the one before."""
    old_site.run("manage.py", "migrate", "-v0", "aa_stripe", "0002", database=empty.settings)
    empty.migrate("aa_stripe", "0010", "-v0")
    ours = {table: empty.schema(table) for table in of_aa_stripe(empty)}

    empty.create()
    old_site.run("manage.py", "migrate", "-v0", "aa_stripe", "0010", database=empty.settings)

    assert {table: empty.schema(table) for table in of_aa_stripe(empty)} == ours


def test_coupons_that_subscriptions_name_by_text_need_0_14(empty, old_site):
    old_site.run("manage.py", "migrate", "-v0", "auth", database=empty.settings)
    old_site.run("manage.py", "migrate", "-v0", "aa_stripe", "0009", database=empty.settings)
    empty.execute(
        "INSERT INTO auth_user (id, password, last_login, is_superuser, username, first_name,"
        " last_name, email, is_staff, is_active, date_joined) VALUES (1, '', '2017-01-01', false,"
        " 'a', '', '', '', false, true, '2017-01-01')",
        "INSERT INTO aa_stripe_stripesubscriptionplan (id, created, updated, stripe_response,"
        " is_created_at_stripe, source, amount, currency, name, {}, interval_count, metadata,"
        " statement_descriptor, trial_period_days) VALUES (1, '2017-01-01', '2017-01-01', '{{}}',"
        " false, '{{}}', 1, 'USD', 'a', 'day', 1, '{{}}', '', 0)".format(
            empty.connection.ops.quote_name("interval")
        ),
        "INSERT INTO aa_stripe_stripesubscription (created, updated, stripe_response,"
        " stripe_subscription_id, is_created_at_stripe, status, metadata, tax_percent, coupon,"
        " plan_id, user_id) VALUES ('2017-01-01', '2017-01-01', '{}', '', false, '', '{}', 0,"
        " 'SALE', 1, 1)",
    )
    before = empty.everything()

    stopped = empty.migrate("aa_stripe", check=False)

    assert stopped.returncode == 1
    assert "Subscriptions that name a coupon: 1." in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert empty.everything() == before


def test_no_migration_of_0_14_calls_python_but_the_one_with_coupons():
    loader = MigrationLoader(None, replace_migrations=False)

    calling = [
        name
        for name in names_of_0_14()
        for operation in loader.graph.nodes["aa_stripe", name].operations
        if isinstance(operation, migrations.RunPython)
    ]

    assert calling == ["0010_auto_20170822_1004"]


def test_undoing_stops_at_the_schema_of_0_14(fresh, filled_once):
    fresh.migrate("aa_stripe", "0001_squashed", "-v0", DJANGO_SETTINGS_MODULE=SHOP)

    assert of_aa_stripe(fresh) == of_aa_stripe(filled_once)


def test_a_model_of_a_site_with_our_base_needs_no_default(empty):
    made = empty.run(
        *("makemigrations", "shop", "--dry-run", "--noinput"), DJANGO_SETTINGS_MODULE=SHOP
    )

    assert "Alter field stripe_response on payout" in made.stdout
    assert "uuid" not in made.stdout
