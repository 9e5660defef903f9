"""How a payment is attempted: saved cards, charges, authentication, settlement, refunds."""
