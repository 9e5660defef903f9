"""Receivers that are connected for one block."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager

from aa_stripe import signals

OF_CHARGE = ("succeeded", "card_exception", "requires_action", "refunded")


@contextmanager
def connected(signal, receiver, sender=None):
    """Connect ``receiver`` for the block, to the signals of ``sender`` only if it is given."""
    signal.connect(receiver, sender=sender)
    try:
        yield
    finally:
        signal.disconnect(receiver, sender=sender)


@contextmanager
def collected_signals(entry=lambda name, instance: (name, instance.pk), sender=None):
    """Collect an entry for each charge signal that is sent in the block, in order."""
    sent = []
    with ExitStack() as receivers:
        for name in OF_CHARGE:

            def receive(sender, instance, name=name, **kwargs):
                sent.append(entry(name, instance))

            signal = getattr(signals, f"stripe_charge_{name}")
            receivers.enter_context(connected(signal, receive, sender))
        yield sent
