"""The example project: a small site that saves cards and charges them (``python -m demo``)."""
