"""What ``save()`` writes: the fields that differ from the row as it was read or saved."""

from __future__ import annotations

import copy
import pickle
from contextlib import contextmanager, suppress
from unittest.mock import patch

import pytest
from django.db import DatabaseError, IntegrityError, connection, models, transaction
from django.db.models.signals import post_save, pre_save
from django.test.utils import CaptureQueriesContext, isolate_apps

from aa_stripe.exceptions import StripeMethodNotAllowed
from aa_stripe.models import StripeCharge, StripeCustomer, StripeToken, StripeWebhook
from tests.support.builders import make_charge, make_customer, make_user
from tests.support.replica import ALIAS, lagging_replica
from tests.support.rows import row_of
from tests.support.signals import connected
from tests.support.statements import statements

pytestmark = pytest.mark.django_db

#: The JSON of the charge that a test begins with.
EARLIER = {"id": "ch_1", "tries": 1, "outcome": {"reason": None, "advice": ["wait"]}}


@pytest.fixture
def charge(fake):
    """A pending charge, as it was read from its row."""
    return row_of(make_charge(stripe_response=EARLIER))


def written(row, **options):
    """Save the row; return the columns that were written, except ``updated``."""
    with CaptureQueriesContext(connection) as captured:
        row.save(**options)
    (update,) = (sql for sql in statements(captured) if sql.startswith("UPDATE"))
    assignments = update.partition(" SET ")[2].rpartition(" WHERE ")[0]
    columns = {field.column for field in row._meta.concrete_fields}
    quote = connection.ops.quote_name
    return {it for it in columns if f"{quote(it)} = " in assignments} - {"updated"}


def change_behind(row, **values):
    """Change the row as another process would."""
    type(row)._base_manager.filter(pk=row.pk).update(**values)


def pickled(row):
    """Return the row as another process gets it."""
    return pickle.loads(pickle.dumps(row))


@contextmanager
def refused(error):
    """Expect the error, in a savepoint that it rolls back."""
    with pytest.raises(error), transaction.atomic():
        yield


# What counts as changed


def test_an_object_that_was_read_has_no_changes(charge):
    assert charge.changed_fields() == set()


def test_an_object_that_was_saved_has_no_changes(charge):
    charge.comment = "new"

    charge.save()

    assert charge.changed_fields() == set()


def test_an_object_that_was_created_has_no_changes(fake):
    assert make_charge().changed_fields() == set()


def test_all_fields_of_an_unsaved_object_are_changed_except_its_key():
    fields = {field.attname for field in StripeCharge._meta.concrete_fields}

    assert StripeCharge(comment="new").changed_fields() == fields - {"id"}


def test_a_relation_counts_by_its_column(charge):
    charge.customer = make_customer()

    assert charge.changed_fields() == {"customer_id"}


def test_a_value_that_was_changed_back_is_not_changed(charge):
    charge.comment = "new"
    charge.comment = ""

    assert charge.changed_fields() == set()


def test_only_what_was_changed_is_written(charge):
    charge.comment = "new"

    assert written(charge) == {"comment"}


def test_what_another_process_has_written_is_kept(charge):
    change_behind(charge, is_charged=True, stripe_response={"id": "ch_2"})
    charge.comment = "new"

    charge.save()

    row = row_of(charge)
    assert (row.comment, row.is_charged, row.stripe_response) == ("new", True, {"id": "ch_2"})


# JSON


def add(value):
    value["more"] = 1


def add_below(value):
    value["outcome"]["advice"].append("retry")


def remove_below(value):
    del value["outcome"]["advice"]


@pytest.mark.parametrize("change", [add, add_below, remove_below])
def test_json_that_was_changed_in_place_is_written(charge, change):
    change(charge.stripe_response)

    charge.save()

    assert row_of(charge).stripe_response == charge.stripe_response != EARLIER


def test_a_number_in_json_that_was_replaced_by_an_equal_boolean_is_written(charge):
    charge.stripe_response["tries"] = True

    charge.save()

    assert row_of(charge).stripe_response["tries"] is True


def test_json_that_was_changed_in_place_after_it_was_saved_is_written(charge):
    charge.stripe_response["more"] = 1
    charge.save()
    charge.stripe_response["more"] = 2

    charge.save()

    assert row_of(charge).stripe_response["more"] == 2


def test_json_that_was_assigned_saved_and_then_changed_by_its_first_owner_is_written(charge):
    owned = {"id": "ch_2"}
    charge.stripe_response = owned
    charge.save()
    owned["id"] = "ch_3"

    charge.save()

    assert row_of(charge).stripe_response == {"id": "ch_3"}


def test_json_of_a_new_object_that_was_changed_by_its_first_owner_is_written(fake):
    owned = {"id": "ch_2"}
    charge = make_charge(stripe_response=owned)
    owned["id"] = "ch_3"

    charge.save()

    assert row_of(charge).stripe_response == {"id": "ch_3"}


def test_json_that_was_only_read_is_not_written(charge):
    assert charge.stripe_response["outcome"]["advice"] == ["wait"]

    assert written(charge) == set()


def test_json_that_was_replaced_by_its_copy_is_not_written(charge):
    charge.stripe_response = copy.deepcopy(charge.stripe_response)

    assert written(charge) == set()


def test_json_that_was_refreshed_and_then_changed_in_place_is_written(charge):
    charge.refresh_from_db()
    charge.stripe_response["more"] = 1

    assert written(charge) == {"stripe_response"}


def test_the_list_of_a_proxy_that_was_changed_in_place_is_written(fake):
    token = StripeToken.objects.get(pk=make_customer().pk)
    token.sources.append({"id": "pm_2"})

    assert written(token) == {"sources"}


@pytest.mark.parametrize("value", [1, "text", [], {}])
def test_json_of_any_kind_is_replaced_by_any_other(charge, value):
    for new in (value, EARLIER, value):
        charge.stripe_response = new
        charge.save()

        assert row_of(charge).stripe_response == new


# Failures


def test_a_change_whose_save_failed_is_written_by_the_next(charge, monkeypatch):
    def fail(*args, **kwargs):
        raise DatabaseError

    charge.comment = "new"
    with monkeypatch.context() as patch:
        patch.setattr(StripeCharge, "_do_update", fail)
        with refused(DatabaseError):
            charge.save()

    charge.save()

    assert row_of(charge).comment == "new"


def test_a_change_that_the_database_rejected_is_written_once_it_is_mended(charge):
    charge.comment, charge.currency = "new", None
    with refused(IntegrityError):
        charge.save()
    charge.currency = "eur"

    charge.save()

    assert (row_of(charge).comment, row_of(charge).currency) == ("new", "eur")


def test_a_change_that_was_refused_stays_a_change(charge):
    change_behind(charge, is_charged=True)
    charge.amount = 2000
    charge.comment = "new"

    for _ in range(2):
        with refused(StripeMethodNotAllowed):
            charge.save()

    assert charge.changed_fields() >= {"amount", "comment"}


def test_a_change_is_written_again_if_a_receiver_failed(charge):
    def receive(**kwargs):
        raise DatabaseError

    charge.comment = "new"
    with connected(post_save, receive, sender=StripeCharge), refused(DatabaseError):
        charge.save()
    change_behind(charge, comment="")

    charge.save()

    assert row_of(charge).comment == "new"


# Receivers


def test_what_a_receiver_changes_before_the_save_is_written_by_the_next(charge):
    def receive(instance, **kwargs):
        instance.comment = "by the receiver"

    with connected(pre_save, receive, sender=StripeCharge):
        charge.save()

    assert written(charge) == {"comment"}


def test_what_a_receiver_changes_after_the_save_is_written_by_the_next(charge):
    def receive(instance, **kwargs):
        instance.comment = "by the receiver"

    charge.comment = "new"
    with connected(post_save, receive, sender=StripeCharge):
        charge.save()

    assert written(charge) == {"comment"}
    assert row_of(charge).comment == "by the receiver"


def test_what_a_receiver_saves_after_the_save_is_not_written_again(charge):
    def receive(instance, **kwargs):
        if instance.changed_fields():
            return
        instance.comment = "by the receiver"
        post_save.disconnect(receive, sender=StripeCharge)
        instance.save()

    charge.description = "new"
    with connected(post_save, receive, sender=StripeCharge):
        charge.save()

    assert written(charge) == set()
    assert (row_of(charge).description, row_of(charge).comment) == ("new", "by the receiver")


# Some of the fields


@pytest.mark.parametrize("loaded", [{"comment"}, {"comment", "stripe_response"}])
def test_deferred_fields_are_neither_read_nor_written(charge, loaded):
    row = StripeCharge.objects.only(*loaded).get(pk=charge.pk)
    row.comment = "new"

    with CaptureQueriesContext(connection) as captured:
        row.save()

    assert len(statements(captured)) == 1
    assert row.get_deferred_fields() > {"is_charged"}
    assert row_of(charge).comment == "new"


def test_a_deferred_field_that_was_read_is_not_changed(charge):
    row = StripeCharge.objects.defer("stripe_response", "comment").get(pk=charge.pk)

    assert (row.stripe_response["id"], row.comment) == ("ch_1", "")

    assert row.changed_fields() == set()


def test_a_deferred_field_that_was_changed_in_place_is_written(charge):
    row = StripeCharge.objects.defer("stripe_response").get(pk=charge.pk)
    row.stripe_response["more"] = 1

    assert written(row) == {"stripe_response"}


def test_a_deferred_field_that_was_assigned_is_written(charge):
    row = StripeCharge.objects.defer("comment").get(pk=charge.pk)
    row.comment = "new"

    assert written(row) == {"comment"}


@pytest.mark.parametrize("field", ["customer", "customer_id"])
def test_refreshing_a_field_discards_only_its_change(charge, field):
    charge.customer = make_customer()
    charge.comment = "new"

    charge.refresh_from_db(fields=(it for it in [field]))

    assert charge.customer_id is None
    assert charge.changed_fields() == {"comment"}


def test_refreshing_discards_all_changes(charge):
    charge.comment = "new"
    charge.stripe_response["more"] = 1

    charge.refresh_from_db()

    assert charge.changed_fields() == set()


@pytest.mark.parametrize("names", [["comment"], ("comment",), (it for it in ["comment"])])
def test_fields_that_were_not_among_the_saved_ones_stay_changed(charge, names):
    charge.comment = charge.description = "new"

    charge.save(update_fields=names)

    assert charge.changed_fields() == {"description"}
    assert (row_of(charge).comment, row_of(charge).description) == ("new", "")


def test_saving_no_fields_writes_nothing(charge, django_assert_num_queries):
    charge.comment = "new"

    with django_assert_num_queries(0):
        charge.save(update_fields=[])

    assert charge.changed_fields() == {"comment"}


# Expressions


def test_an_expression_is_applied_once(charge):
    charge.attempts = models.F("attempts") + 1

    charge.save()
    charge.save()

    assert row_of(charge).attempts == 1


# Other ways to store and to read


def test_the_time_of_the_last_change_is_always_written(charge):
    before = row_of(charge).updated

    charge.save()

    assert row_of(charge).updated > before


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))]
)
def test_a_copied_object_knows_its_changes(charge, copied):
    charge.comment = "new"

    twin = copied(charge)
    twin.description = "newer"

    assert twin.changed_fields() == {"comment", "description"}
    assert charge.changed_fields() == {"comment"}
    assert written(twin) == {"comment", "description"}
    assert charge.changed_fields() == {"comment"}


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_json_of_a_copied_object_can_be_changed_in_place(charge, copied):
    twin = copied(charge)
    twin.stripe_response["more"] = 1

    assert twin.changed_fields() == {"stripe_response"}
    assert charge.changed_fields() == set()


def test_an_object_without_its_key_becomes_another_row(fake):
    customer = row_of(make_customer())
    original, customer.pk, customer.uuid = customer.pk, None, StripeCustomer().uuid

    customer.save()

    assert customer.pk != original
    assert row_of(customer).sources == StripeCustomer.objects.get(pk=original).sources != []


def test_an_object_with_another_key_becomes_another_row(on):
    webhook = row_of(StripeWebhook.objects.create(id="evt_1", raw_data={"type": "payout.paid"}))
    webhook.id = "evt_2"

    webhook.save()

    assert row_of(webhook).raw_data == {"type": "payout.paid"}
    assert StripeWebhook.objects.count() == 2


def test_an_object_that_is_inserted_by_force_is_written_completely(charge):
    charge.delete()
    charge.pk = 7

    charge.save(force_insert=True)

    assert row_of(charge).stripe_response == EARLIER


def test_an_update_by_force_writes_only_the_changes(charge):
    charge.comment = "new"

    assert written(charge, force_update=True) == {"comment"}


def test_rows_that_were_created_at_once_keep_what_other_processes_write(fake):
    user = make_user()
    (charge,) = StripeCharge.objects.bulk_create([StripeCharge(user=user, amount=1000)])
    charge = charge if charge.pk else StripeCharge.objects.get()
    change_behind(charge, is_charged=True)
    charge.comment = "new"

    assert written(charge) == {"comment"}


# Transactions


class Rollback(Exception):
    pass


@contextmanager
def rolled_back():
    with suppress(Rollback), transaction.atomic():
        yield
        raise Rollback


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("save", [StripeCharge.save, StripeCharge.charge_later])
def test_what_was_rolled_back_is_written_by_the_next_save(fake, save):
    charge = row_of(make_charge(amount=1000))
    with rolled_back():
        charge.amount = 500
        save(charge)

    save(charge)

    assert row_of(charge).amount == 500


@pytest.mark.django_db(transaction=True)
def test_what_was_rolled_back_to_a_savepoint_is_written_by_the_next_save(fake):
    charge = row_of(make_charge())
    with transaction.atomic():
        with rolled_back():
            charge.comment = "new"
            charge.save()
        charge.save()

    assert row_of(charge).comment == "new"


@pytest.mark.django_db(transaction=True)
def test_what_was_committed_is_not_written_again(fake):
    charge = row_of(make_charge())
    with transaction.atomic():
        charge.comment = "new"
        charge.save()

    assert written(charge) == set()


@pytest.mark.django_db(transaction=True)
def test_a_row_that_was_found_or_created_has_no_changes(fake):
    user = make_user()

    for _ in range(2):
        customer, _is_new = StripeCustomer.objects.get_or_create(user=user)
        assert customer.changed_fields() == set()


@pytest.mark.django_db(transaction=True)
def test_a_row_that_was_updated_or_created_has_no_changes(fake):
    charge = make_charge()
    found, _is_new = StripeCharge.objects.update_or_create(
        pk=charge.pk, defaults={"comment": "new"}
    )

    assert found.changed_fields() == set()
    assert row_of(charge).comment == "new"


# Databases


@pytest.mark.parametrize("options", [{}, {"using": "default"}])
def test_only_the_changes_of_a_row_that_was_read_from_a_replica_are_written(charge, options):
    charge._state.db = ALIAS
    charge.comment = "new"

    with lagging_replica():
        assert written(charge, **options) == {"comment"}


def test_a_row_is_copied_completely_to_another_database(charge):
    charge.comment = "new"

    with patch.object(models.Model, "save_base", autospec=True) as save_base:
        charge.save(using="other")

    assert save_base.call_args.kwargs["using"] == "other"
    assert save_base.call_args.kwargs["update_fields"] is None


# Models that a site derives


@pytest.fixture
def order(transactional_db, fake):
    """An order of a model that has fields and a table of its own."""
    with isolate_apps("aa_stripe"):

        class Order(StripeCharge):
            number = models.CharField(max_length=9)
            items = models.JSONField(default=list)

            class Meta:
                app_label = "aa_stripe"

    with connection.schema_editor() as editor:
        editor.create_model(Order)
    yield row_of(Order.objects.create(user=make_customer().user, amount=1000))
    with connection.schema_editor() as editor:
        editor.delete_model(Order)


def test_fields_of_a_derived_model_are_written_if_they_were_changed(order):
    assert order.changed_fields() == set()
    order.items.append("book")
    order.number = order.comment = "2"

    assert order.changed_fields() == {"items", "number", "comment"}
    order.save()

    row = row_of(order)
    assert (row.items, row.number, row.comment) == (["book"], "2", "2")


def test_changes_of_a_derived_model_are_saved_before_the_charge(order):
    order.items.append("book")
    order.number = order.comment = "2"

    order.charge()

    row = row_of(order)
    assert (row.items, row.number, row.comment, row.is_charged) == (["book"], "2", "2", True)
    assert order.changed_fields() == set()


def test_a_save_of_a_derived_model_that_fails_in_its_own_table_is_repeated_in_both(order):
    order.comment, order.number = "new", None
    with refused(IntegrityError):
        order.save()
    order.number = "2"

    order.save()

    assert (row_of(order).comment, row_of(order).number) == ("new", "2")
