"""Helpers that tests of more than one area use."""
