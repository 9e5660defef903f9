"""Stripe's test cards, and how each of them behaves."""
