"""One request and its response: keys, routes, parameters, idempotency, faults, expansion."""
