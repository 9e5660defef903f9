"""How a subscription lives: what is sold, subscribed to, invoiced, renewed and ended."""
