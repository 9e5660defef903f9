"""A request comes in, a response goes out: what lies between the wire and an endpoint."""
