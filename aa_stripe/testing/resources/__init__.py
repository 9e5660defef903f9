"""The endpoints of the API, one module for each resource, on top of payments and billing."""
