"""The rows that the ``source`` of a charge refers to."""

from __future__ import annotations

import uuid

from django.contrib.contenttypes.fields import GenericRelation
from django.db import models

from aa_stripe.fields import ExactCharField
from aa_stripe.models import StripeCharge


class Ticket(models.Model):
    """Its primary key is an integer."""

    id = models.AutoField(primary_key=True)
    charges = GenericRelation(StripeCharge)


class Order(models.Model):
    """Its primary key is a UUID."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    charges = GenericRelation(StripeCharge, object_id_field="source_key")


class Invoice(models.Model):
    """Its primary key is text, which may be digits."""

    number = models.CharField(primary_key=True, max_length=20)
    charges = GenericRelation(StripeCharge, object_id_field="source_key")


class Office(models.Model):
    """A payer whose primary key is text, and has a collation of its own on MySQL and MariaDB."""

    code = ExactCharField(primary_key=True, max_length=100)
