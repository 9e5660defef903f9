"""An incomplete database of 0.14 stops the upgrade with a clear message and stays unchanged."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("stopped_at", "first_missing"),
    [("0001", "0002_auto_20170607_0714"), ("0019", "0020_stripecharge_statement_descriptor")],
)
def test_a_database_with_some_migrations_of_0_14_is_rejected_unchanged(
    empty, old_site, stopped_at, first_missing
):
    old_site.run("manage.py", "migrate", "aa_stripe", stopped_at, database=empty.settings)
    before = empty.everything()

    stopped = empty.migrate("--skip-checks", check=False)

    assert stopped.returncode == 1
    assert "Only some of the migrations of aa-stripe 0.14 are applied" in stopped.stderr
    assert f"Missing: {first_missing}, " in stopped.stderr
    assert ", 0022_stripecharge_amount_refunded. Install aa-stripe 0.14" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert empty.everything() == before


def test_a_database_with_some_migrations_of_0_14_is_rejected_by_a_check(empty, old_site):
    old_site.run("manage.py", "migrate", "aa_stripe", "0021", database=empty.settings)
    before = empty.everything()

    stopped = empty.migrate(check=False, DJANGO_SETTINGS_MODULE="tests.migrations.settings_shop")

    assert stopped.returncode == 1
    assert "(aa_stripe.E019) The database 'default' was left halfway" in stopped.stderr
    assert "Missing: 0022_stripecharge_amount_refunded." in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert empty.everything() == before


def test_a_project_may_depend_on_any_migration_of_0_14(empty):
    empty.migrate("shop", DJANGO_SETTINGS_MODULE="tests.migrations.settings_shop")

    assert "shop_order" in empty.tables()


def test_an_incomplete_database_can_be_completed_with_0_13_and_then_upgraded(empty, old_site):
    old_site.run("manage.py", "migrate", "aa_stripe", "0012", database=empty.settings)
    empty.migrate(check=False)

    old_site.run("manage.py", "migrate", database=empty.settings)
    empty.migrate("aa_stripe", "0023")

    assert ("0023_check_upgrade",) in empty.all("SELECT name FROM django_migrations")


def test_a_database_with_a_missing_table_is_rejected_unchanged(filled):
    filled.execute("DROP TABLE aa_stripe_stripesubscription")
    before = filled.everything()

    stopped = filled.migrate(check=False)

    assert stopped.returncode == 1
    assert "Missing: aa_stripe_stripesubscription. Nothing was changed." in stopped.stderr
    assert filled.everything() == before


def test_a_database_with_a_missing_column_is_rejected_unchanged(filled):
    filled.execute("ALTER TABLE aa_stripe_stripecharge DROP COLUMN amount_refunded")
    before = filled.everything()

    stopped = filled.migrate(check=False)

    assert stopped.returncode == 1
    assert "Missing: aa_stripe_stripecharge.amount_refunded. Nothing" in stopped.stderr
    assert filled.everything() == before
