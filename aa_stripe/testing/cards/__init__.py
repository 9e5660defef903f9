"""Stripe's test cards: what each of them does, and how one is written down."""
