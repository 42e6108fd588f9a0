"""Compact checkpoints: the modelling file they carry, and how this package loads them."""
