"""Masks become values: evaluate, the store, executors."""
