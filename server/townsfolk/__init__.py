"""Townsfolk: a town of talking characters on one language model."""

__version__ = "0.1.0"
