"""An offline Stripe for tests and demos: no key, no network. See docs/testing.rst."""

from aa_stripe.testing.base.refusals import Refusal
from aa_stripe.testing.fake import TEST_KEY, FakeStripe
from aa_stripe.testing.http.faults import Fault
from aa_stripe.testing.webhooks import event, signed

__all__ = ["TEST_KEY", "FakeStripe", "Fault", "Refusal", "event", "signed"]
