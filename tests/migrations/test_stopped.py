"""An incomplete database of 0.14 stops the upgrade with a clear message and stays unchanged."""

from __future__ import annotations


def test_a_project_may_depend_on_any_migration_of_0_14(empty):
    empty.migrate("shop", DJANGO_SETTINGS_MODULE="tests.migrations.settings_shop")

    assert "shop_order" in empty.tables()


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


def test_a_database_with_wide_ids_is_rejected_on_mysql_and_upgraded_elsewhere(filled):
    """A migration of the site widened the ids, and was recorded; its file is gone."""
    filled.execute(
        "INSERT INTO django_migrations (app, name, applied)"
        " VALUES ('aa_stripe', '0023_alter_stripecharge_id', '2023-01-01')",
        *WIDENED[filled.vendor],
    )
    before = filled.rows("aa_stripe_stripecharge")

    ran = filled.migrate(check=False)

    if filled.vendor == "mysql":
        assert ran.returncode == 1
        assert "The ids of aa_stripe's tables have 64 bits" in ran.stderr
        assert filled.rows("aa_stripe_stripecharge") == before
    else:
        assert ran.returncode == 0, ran.stderr
        filled.run(module="tests.migrations.read_and_save")


WIDENED = {
    "sqlite": [],  # its integers have 64 bits
    "postgresql": ["ALTER TABLE aa_stripe_stripecharge ALTER id TYPE bigint"],
    "mysql": ["ALTER TABLE aa_stripe_stripecharge MODIFY id bigint AUTO_INCREMENT"],
}
