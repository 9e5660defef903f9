"""Bill a Django site's customers with Stripe, each charge collected exactly once."""

__version__ = "1.0.0"
VERSION = __version__
