"""The command line: ``spex-mech run``, its steps, and what there is to choose from.

In: words on a command line. Out: the calls of `run`, `decoders` and `report` that do the job, and a few
printed lines. `app` (main) holds all commands; a mistake ends a command with one sentence and exit code
2.

    >>> from spex_mech.cli import app
    >>> app.info.name
    'spex-mech'

A new command is a function in the file of its kind and a line in `main`.
"""

from spex_mech.cli.main import app, main

__all__ = ["app", "main"]
