"""An app whose handlers run in the worker of a queue, and the tests that start such workers.

The workers collect charges, too.
"""

#: The first handler call for an event of this type hangs.
TYPE_THAT_HANGS = "payout.failed"
