from django.db import models


class Order(models.Model):
    id = models.AutoField(primary_key=True)
    charge = models.ForeignKey("aa_stripe.StripeCharge", on_delete=models.CASCADE)
