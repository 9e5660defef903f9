"""Payments: saved cards, charges, authentication, settlement and refunds."""
