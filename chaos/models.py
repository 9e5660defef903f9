"""What the processes leave behind for the judge."""

from __future__ import annotations

from django.db import models


class Success(models.Model):
    """One arrival of ``stripe_charge_succeeded``, written in the transaction of the signal."""

    charge_id = models.BigIntegerField(db_index=True)

    objects: models.Manager[Success] = models.Manager()


class OutdatedTerms(models.Model):
    """A payment that was about to be confirmed on other terms than those of the row."""

    charge_id = models.BigIntegerField()
    stored = models.CharField(max_length=100)
    confirmed = models.CharField(max_length=100)

    objects: models.Manager[OutdatedTerms] = models.Manager()
