"""Stripe's test cards and their behaviour."""
