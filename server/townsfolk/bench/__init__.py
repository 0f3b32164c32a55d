"""Measurements of Townsfolk on the machine at hand: the `townsfolk bench` commands."""
