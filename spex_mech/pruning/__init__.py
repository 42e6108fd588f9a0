"""Which players to keep, and whether a kept set is a circuit."""
