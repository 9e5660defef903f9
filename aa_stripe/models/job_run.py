"""What an unattended job remembers from one run to the next."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext_lazy as _

from aa_stripe.models.rows import stored


class StripeJobRun(models.Model):
    """The last runs of a job. A job that never ended well has no row."""

    #: The name of the job's command.
    job = models.CharField(max_length=64, primary_key=True)
    #: When the last run without a failure ended, whether or not a limit ended it.
    ended_well = models.DateTimeField()
    #: The rows are up to date with all that happened at Stripe before; ``None`` if the job does
    #: not refresh rows, or never finished.
    refreshed_until = models.DateTimeField(null=True)
    #: A digest of the API key that the rows were refreshed with: another account has other events.
    key_digest = models.CharField(max_length=64, blank=True)

    class Meta:
        verbose_name = _("job run")
        verbose_name_plural = _("job runs")

    def __str__(self) -> str:
        return self.job

    @classmethod
    def remember(cls, job: str, **values: Any) -> None:
        """Store the values of the job's row, also if another process inserts it meanwhile."""
        row = stored(cls).filter(pk=job)
        if row.update(**values):
            return
        try:
            with transaction.atomic(using=row.db):
                cls(job=job, **values).save(using=row.db, force_insert=True)
        except IntegrityError:
            row.update(**values)
