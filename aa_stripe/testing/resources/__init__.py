"""The endpoints, one family a file: each reads its parameters and calls the room below."""
