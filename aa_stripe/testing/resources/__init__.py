"""The endpoints of the API, one family per file, each thin over payments and billing."""
