"""All commands, and how mistakes end them."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import typer

from spex_mech.cli import explain, steps
from spex_mech.cli.options import ExecutorCommand
from spex_mech.cli.run import plan, run, status
from spex_mech.cli.tasks import players, tasks
from spex_mech.core.errors import DamagedStoreWarning, InputError

app = typer.Typer(
    name="spex-mech",
    help="Find the few interactions inside a large model that matter, with few ablations.\n\n"
    "run does everything; evaluate, decode, prune, export, circuit and report do it step by step, each "
    "on what the steps before it left in the run's folder.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command(cls=ExecutorCommand)(run)
app.command()(plan)
app.command()(status)
app.command(cls=ExecutorCommand)(steps.evaluate)
app.command()(steps.decode)
app.command(cls=ExecutorCommand)(steps.prune)
app.command()(steps.export)
app.command(cls=ExecutorCommand)(steps.circuit)
app.command()(steps.report)
app.add_typer(explain.app, name="explain")
app.command()(tasks)
app.command()(players)


def main() -> None:
    """Run the command line; bad input ends it with a message and exit code 2."""
    warnings.showwarning = partial(_show_warning, warnings.showwarning)
    try:
        app()
    except InputError as error:
        _end(str(error), 2)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _end(f"{where}{error.strerror or error}{_kept(sys.argv[1:])}", 2)
    except KeyboardInterrupt:
        _end(f"stopped{_kept(sys.argv[1:])}", 130)


def _kept(arguments: list[str]) -> str:
    """What a command that stores what it finishes says when it ends early."""
    stores = arguments[:1] in (["run"], ["evaluate"], ["prune"], ["circuit"])
    explains = arguments[:1] == ["explain"] and ("game" in arguments[1:2] or "--out" in arguments)
    return "; finished ablations are kept, run again to go on" if stores or explains else ""


def _show_warning(
    usual: Callable[..., None], message: Warning | str, category: type[Warning], *where: Any
) -> None:
    """Say what is damaged as a sentence; other warnings look as usual."""
    if issubclass(category, DamagedStoreWarning):
        print(f"spex-mech: warning: {message}", file=sys.stderr)
    else:
        usual(message, category, *where)


def _end(message: str, code: int) -> None:
    print(f"spex-mech: {message}", file=sys.stderr)
    sys.exit(code)
