"""HTTP requests: API keys, routes, parameters, idempotency, faults and expansion."""
