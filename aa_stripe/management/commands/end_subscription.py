"""The command ``manage.py end_subscription``: the name in the README of 0.14."""

from aa_stripe.management.commands.end_subscriptions import Command

__all__ = ["Command"]
