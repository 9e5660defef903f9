"""A site under fire: many processes, a Stripe that fails, and a murderer; then a judge.

It is no part of the package that users install.
"""
