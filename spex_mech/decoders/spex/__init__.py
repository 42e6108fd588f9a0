"""The SPEX decoder of coded designs."""
