"""The plan of a subscription: its price and its interval."""

from __future__ import annotations

from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _
from model_utils import Choices

from aa_stripe import gateway
from aa_stripe.exceptions import StripeMethodNotAllowed
from aa_stripe.fields import ExactCharField, PlainJSONField
from aa_stripe.models.amount import SmallestUnitField
from aa_stripe.models.base import StripeObject
from aa_stripe.models.keys import create_with_new_key
from aa_stripe.money import whole_units

#: What the customer pays, and when. It cannot be changed at Stripe.
TERMS = ("amount", "currency", "interval", "interval_count", "trial_period_days")


class StripeSubscriptionPlan(StripeObject):
    """A plan at Stripe, with a product of the same name."""

    INTERVAL_DAY = "day"
    INTERVAL_WEEK = "week"
    INTERVAL_MONTH = "month"
    INTERVAL_YEAR = "year"
    INTERVAL_CHOICES = Choices(
        (INTERVAL_DAY, _("day")),
        (INTERVAL_WEEK, _("week")),
        (INTERVAL_MONTH, _("month")),
        (INTERVAL_YEAR, _("year")),
    )

    is_created_at_stripe = models.BooleanField(default=False)
    #: The plan's id at Stripe. 0.14 gave Stripe the row's primary key.
    stripe_plan_id = ExactCharField(max_length=255, blank=True, db_index=True)
    source = PlainJSONField(default=dict, blank=True)
    amount = SmallestUnitField(help_text=_("In the currency's smallest unit (cents)."))
    currency = models.CharField(max_length=3, default="USD")
    name = models.CharField(max_length=255)
    interval = models.CharField(max_length=10, choices=INTERVAL_CHOICES)
    interval_count = models.IntegerField(default=1, validators=[MinValueValidator(1)])
    metadata = PlainJSONField(default=dict, blank=True)
    statement_descriptor = models.CharField(max_length=22, blank=True)
    trial_period_days = models.IntegerField(default=0, validators=[MinValueValidator(0)])

    class Meta:
        verbose_name = _("subscription plan")
        verbose_name_plural = _("subscription plans")

    def __str__(self) -> str:
        return self.name

    @property
    def price_id(self) -> str:
        """Return the id at Stripe; ``""`` for a plan that does not exist there.

        A row of 0.14 (from a dump, or a site's own migration) may lack ``stripe_plan_id``.
        """
        if self.stripe_plan_id or not self.is_created_at_stripe:
            return self.stripe_plan_id
        return str(self.pk)

    def create_at_stripe(self) -> gateway.Plan:
        """Create the plan and its product; return Stripe's plan.

        The row's ``uuid`` becomes the plan's id, which is unique at Stripe. So calling again
        after a lost response, however late, returns the same plan.

        Raises ``StripeMethodNotAllowed`` if the plan exists already, and the SDK's errors: Stripe's
        "Plan already exists" if a call whose response was lost has created it, and its price,
        interval or trial was changed in the row since.
        """
        if self.is_created_at_stripe:
            raise StripeMethodNotAllowed
        if self._state.adding:
            self.save()
        plan = self._get_or_create()
        self.stripe_plan_id = plan.id
        self.is_created_at_stripe = True
        self.stripe_response = gateway.to_json(plan)
        self.save()
        return plan

    def _get_or_create(self) -> gateway.Plan:
        params = self._params()
        try:
            return create_with_new_key(
                self.uuid, lambda key: gateway.create_plan(params, idempotency_key=key)
            )
        except gateway.InvalidRequestError as error:
            if error.code != "resource_already_exists":
                raise
            plan = gateway.retrieve_plan(str(self.uuid))
            if not _has_terms(plan, params):
                raise
            return plan

    def _params(self) -> gateway.PlanCreateParams:
        params: gateway.PlanCreateParams = {
            "id": str(self.uuid),
            "amount": whole_units(self.amount),
            "currency": self.currency.lower(),
            "interval": self.interval,
            "interval_count": self.interval_count,
            "metadata": self.metadata or {},
            # Plans no longer have a name of their own: https://docs.stripe.com/api/plans/create
            "product": {"name": self.name},
        }
        if self.statement_descriptor:
            params["product"] = {
                "name": self.name,
                "statement_descriptor": self.statement_descriptor,
            }
        if self.trial_period_days:
            params["trial_period_days"] = self.trial_period_days
        return params


def _has_terms(plan: gateway.Plan, params: gateway.PlanCreateParams) -> bool:
    """Return whether Stripe's plan has the terms that ``params`` would create."""
    known, wanted = gateway.to_json(plan), dict(params)
    return all((known.get(name) or 0) == (wanted.get(name) or 0) for name in TERMS)
