"""How a subscription lives: prices, discounts, trials, invoices, renewal, cancellation."""
