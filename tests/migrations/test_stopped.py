"""What 0.14 did not finish is refused with a clear message, and nothing is touched."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("stopped_at", "first_missing"),
    [("0001", "0002_auto_20170607_0714"), ("0019", "0020_stripecharge_statement_descriptor")],
)
def test_a_database_stopped_halfway_is_refused_untouched(
    empty, old_site, stopped_at, first_missing
):
    old_site.run("manage.py", "migrate", "aa_stripe", stopped_at, database=empty.settings)
    before = empty.everything()

    refused = empty.migrate("--skip-checks", check=False)

    assert refused.returncode == 1
    assert "Only some of the migrations of aa-stripe 0.14 are applied" in refused.stderr
    assert f"Missing: {first_missing}, " in refused.stderr
    assert ", 0022_stripecharge_amount_refunded. Install aa-stripe 0.14" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert empty.everything() == before


def test_a_database_stopped_halfway_is_refused_before_django_looks_at_any_migration(
    empty, old_site
):
    old_site.run("manage.py", "migrate", "aa_stripe", "0021", database=empty.settings)
    before = empty.everything()

    refused = empty.migrate(check=False, DJANGO_SETTINGS_MODULE="tests.migrations.settings_shop")

    assert refused.returncode == 1
    assert "(aa_stripe.E019) The database 'default' was left halfway" in refused.stderr
    assert "Missing: 0022_stripecharge_amount_refunded." in refused.stderr
    assert "Traceback" not in refused.stderr
    assert empty.everything() == before


def test_a_project_may_depend_on_any_migration_of_0_14(empty):
    empty.migrate("shop", DJANGO_SETTINGS_MODULE="tests.migrations.settings_shop")

    assert "shop_order" in empty.tables()


def test_what_was_stopped_halfway_can_be_finished_and_then_upgraded(empty, old_site):
    old_site.run("manage.py", "migrate", "aa_stripe", "0012", database=empty.settings)
    empty.migrate(check=False)

    old_site.run("manage.py", "migrate", database=empty.settings)
    empty.migrate("aa_stripe", "0023")

    assert ("0023_check_upgrade",) in empty.all("SELECT name FROM django_migrations")


def test_a_database_whose_tables_are_gone_is_refused_untouched(filled):
    filled.execute("DROP TABLE aa_stripe_stripesubscription")
    before = filled.everything()

    refused = filled.migrate(check=False)

    assert refused.returncode == 1
    assert "Missing: aa_stripe_stripesubscription. Nothing was changed." in refused.stderr
    assert filled.everything() == before


def test_a_database_whose_columns_are_gone_is_refused_untouched(filled):
    filled.execute("ALTER TABLE aa_stripe_stripecharge DROP COLUMN amount_refunded")
    before = filled.everything()

    refused = filled.migrate(check=False)

    assert refused.returncode == 1
    assert "Missing: aa_stripe_stripecharge.amount_refunded. Nothing" in refused.stderr
    assert filled.everything() == before
