"""The life cycle of subscriptions: prices, discounts, trials, invoices, renewal, cancellation."""
