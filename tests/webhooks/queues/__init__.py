"""An app whose handlers run in the worker of a queue, and the tests that start such workers."""

#: Whoever is the first to handle an event of this type does not come to an end.
TYPE_THAT_HANGS = "payout.failed"
