from django.db import models

from aa_stripe.models import StripeWebhook


class BookedEvent(StripeWebhook):
    """An event with a table of its own, whose primary key is the event's id."""


class Entry(models.Model):
    id = models.AutoField(primary_key=True)
    booked = models.ForeignKey(BookedEvent, on_delete=models.CASCADE)
    source = models.ForeignKey(
        StripeWebhook, on_delete=models.CASCADE, null=True, db_constraint=False, related_name="+"
    )
