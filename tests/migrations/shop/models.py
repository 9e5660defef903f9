from django.db import models

from aa_stripe.models import StripeBasicModel


class Order(models.Model):
    id = models.AutoField(primary_key=True)
    charge = models.ForeignKey("aa_stripe.StripeCharge", on_delete=models.CASCADE)
    paid = models.BooleanField(default=False)


class Payout(StripeBasicModel):
    """A model with the base of ours, and rows from before the upgrade."""

    id = models.AutoField(primary_key=True)
