"""How a payment is attempted: what is saved, charged, authenticated, settled, given back."""
