"""The command line: ``spex-mech run``, its steps, and what there is to choose from."""

from spex_mech.cli.main import app, main

__all__ = ["app", "main"]
