"""What the jobs remember from one run to the next, in the rows of ``StripeJobRun``."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.crypto import salted_hmac

from aa_stripe.jobs.report import Report
from aa_stripe.models import StripeJobRun
from aa_stripe.models.rows import stored
from aa_stripe.settings import stripe_settings

#: Stripe lists events for 30 days. https://docs.stripe.com/api/events
LONGEST_GAP = timedelta(days=29)


def remember(job: str, report: Report) -> None:
    """Store when the job ended, if its run did not fail and was not stopped."""
    if ended_well(report):
        StripeJobRun.remember(job, ended_well=timezone.now())


def ended_well(report: Report) -> bool:
    return not report.failed and not report.stopped


def remember_refresh(job: str, until: datetime) -> None:
    """Store that the rows are up to date with all that happened at Stripe before ``until``."""
    StripeJobRun.remember(
        job, ended_well=timezone.now(), refreshed_until=until, key_digest=_key_digest()
    )


def last_refresh(job: str) -> datetime | None:
    """Return until when the rows are up to date; ``None`` if Stripe lists no events since then.

    Also ``None`` if another API key was used: it may belong to another account.
    """
    now = timezone.now()
    runs = stored(StripeJobRun).filter(pk=job, key_digest=_key_digest())
    known: datetime | None = runs.values_list("refreshed_until", flat=True).first()
    # A time in the future is that of a clock that was wrong.
    is_usable = known is not None and now - LONGEST_GAP <= known <= now
    return known if is_usable else None


def _key_digest() -> str:
    """Return a digest that the API key cannot be derived from."""
    return salted_hmac("aa_stripe.jobs", stripe_settings.API_KEY, algorithm="sha256").hexdigest()
