"""Fill the identity of coupons. If several rows have the same one, only the newest row gets it.

Each row is committed on its own, and filled rows are skipped. So the migration may be killed and
started again at any time.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import QuerySet
from django.utils import timezone

from aa_stripe.migrations._rows import batches_of, rows_of

COLUMNS = ("coupon_id", "created", "livemode")


def fill_coupon_identity(apps: Any, schema_editor: BaseDatabaseSchemaEditor) -> None:
    coupons = rows_of(apps, "stripecoupon", schema_editor.connection.alias)
    unfilled = coupons.filter(identity=None, is_created_at_stripe=True)
    for batch in batches_of(unfilled, *COLUMNS):
        set_identities(coupons, {identity_of(*row): pk for pk, *row in batch})


def set_identities(coupons: QuerySet[Any], found: dict[str, int]) -> None:
    """Set the identities in ``found``, which maps each to its newest row (pk) in the batch."""
    taken = dict(coupons.filter(identity__in=found).values_list("identity", "pk"))
    older = [pk for identity, pk in taken.items() if pk < found[identity]]
    if older:
        coupons.filter(pk__in=older).update(identity=None)
    changed = [
        coupons.model(pk=pk, identity=identity)
        for identity, pk in found.items()
        if taken.get(identity, 0) < pk
    ]
    coupons.bulk_update(changed, ["identity"])


def identity_of(coupon_id: str, created: datetime, livemode: bool) -> str:
    aware = timezone.make_aware(created.replace(fold=0)) if timezone.is_naive(created) else created
    text = f"{'live' if livemode else 'test'} {int(aware.timestamp())} {coupon_id}"
    return hashlib.sha256(text.encode()).hexdigest()


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("aa_stripe", "0030_coupon_identity")]

    operations = [migrations.RunPython(fill_coupon_identity, migrations.RunPython.noop)]
