"""An offline Stripe for tests and demos: no key, no network."""

from aa_stripe.testing.fake import FakeStripe
from aa_stripe.testing.faults import Fault

__all__ = ["FakeStripe", "Fault"]
