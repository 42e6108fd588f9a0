"""All commands, and how mistakes end them."""

from __future__ import annotations

import sys

import typer

from spex_mech.cli import explain as explaining
from spex_mech.cli import run as running
from spex_mech.cli import steps
from spex_mech.cli import tasks as asking
from spex_mech.core.errors import InputError

app = typer.Typer(
    name="spex-mech",
    help="Find the few interactions inside a large model that matter, with few ablations.\n\n"
    "run does everything; evaluate, decode, prune, export, circuit and report do it step by step, each "
    "on what the former left in the run's folder.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    running.run,
    running.plan,
    running.status,
    steps.evaluate,
    steps.decode,
    steps.prune,
    steps.export,
    steps.circuit,
    steps.report,
    explaining.explain,
    asking.tasks,
    asking.players,
):
    app.command()(command)


def main() -> None:
    """Run the command line; bad input ends it with a message and exit code 2."""
    try:
        app()
    except InputError as error:
        _end(str(error), 2)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _end(f"{where}{error.strerror or error}; what was finished is kept, run again to go on", 2)
    except KeyboardInterrupt:
        _end("stopped; finished ablations are kept, run again to go on", 130)


def _end(message: str, code: int) -> None:
    print(f"spex-mech: {message}", file=sys.stderr)
    sys.exit(code)
