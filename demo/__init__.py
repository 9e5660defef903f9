"""The example project: a small site that charges cards and has subscribers (``python -m demo``)."""
