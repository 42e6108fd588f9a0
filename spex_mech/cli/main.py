"""All commands, and how mistakes end them."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import typer
from typer.core import TyperCommand

from spex_mech.cli import decode, explain, steps
from spex_mech.cli.examples import NEXT_STEPS, examples_of
from spex_mech.cli.get import get
from spex_mech.cli.naming import RunCommand, SpecCommand
from spex_mech.cli.open import open_report
from spex_mech.cli.options import ExecutorCommand
from spex_mech.cli.run import plan, run, status
from spex_mech.cli.specialise import specialise
from spex_mech.cli.tables import COLUMNS
from spex_mech.cli.tasks import players, tasks
from spex_mech.core.errors import DamagedStoreWarning, InputError
from spex_mech.core.quoting import quoted

app = typer.Typer(
    name="spex-mech",
    help="Find the few interactions inside a large model that matter, with few ablations.\n\n"
    "specialise prunes a model for one task, in one command. run does everything that a spec says; evaluate, "
    "decode, prune, export, circuit and report do it step by step, each on what the steps before it left in "
    "the run's folder. spex-mech COMMAND --help has examples.",
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": COLUMNS},
)


@app.callback()
def next_steps(context: typer.Context) -> None:
    """Without a command, say in five lines what to do next."""
    if context.invoked_subcommand is None:
        typer.echo(NEXT_STEPS)


def _add(
    command: Callable[..., None], kind: type[TyperCommand] = TyperCommand, name: str | None = None
) -> None:
    name = name or command.__name__
    summary = (command.__doc__ or "").partition("\n")[0]
    app.command(name, cls=kind, short_help=summary, epilog=examples_of(name))(command)


_add(run, RunCommand)
_add(specialise, ExecutorCommand)
_add(plan, SpecCommand)
_add(status)
_add(open_report, name="open")
_add(steps.evaluate, RunCommand)
_add(decode.decode)
_add(steps.prune, ExecutorCommand)
_add(steps.export)
_add(steps.circuit, ExecutorCommand)
_add(steps.report)
app.add_typer(explain.app, name="explain")
_add(get)
_add(tasks)
_add(players)


_STOPPED = 130
_UsageError: Any = typer.BadParameter.__base__  # of the click that this Typer brings along
_MOST_CHARACTERS = 600


def main() -> None:
    """Run the command line; bad input ends it with a message and exit code 2."""
    warnings.showwarning = partial(_show_warning, warnings.showwarning)
    arguments = sys.argv[1:]
    try:
        _check_arguments(arguments)
        # Typer's own messages quote values whole, so they are written here.
        code = app(prog_name="spex-mech", standalone_mode=False)
    except _UsageError as error:
        where = getattr(error.ctx, "command_path", "spex-mech")
        _end(f"{error.format_message()} (see {where} --help)", 2)
    except InputError as error:
        _end(str(error), 2)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        remedy = "; check that path" if where else ""
        _end(f"{where}{error.strerror or error}{remedy}{_kept(arguments)}", 2)
    except MemoryError:
        _end(f"too little memory; ask for fewer masks, players or examples{_kept(arguments)}", 2)
    except RecursionError:
        _end("a file or a setting is nested too deeply; expected a few levels", 2)
    except (KeyboardInterrupt, typer.Abort):
        code = _STOPPED
    if code == _STOPPED:
        _end(f"stopped{_kept(arguments)}", _STOPPED)
    sys.exit(code if isinstance(code, int) else 0)


def _kept(arguments: list[str]) -> str:
    """What a command that stores what it finishes says when it ends early."""
    stores = arguments[:1] in (["run"], ["evaluate"], ["prune"], ["circuit"], ["specialise"])
    explains = arguments[:1] == ["explain"] and ("game" in arguments[1:2] or "--out" in arguments)
    return "; finished ablations are kept, run again to go on" if stores or explains else ""


def _show_warning(
    usual: Callable[..., None], message: Warning | str, category: type[Warning], *where: Any
) -> None:
    """Say what is damaged as a sentence; other warnings look as usual."""
    if issubclass(category, DamagedStoreWarning):
        print(f"spex-mech: warning: {_shown(str(message))}", file=sys.stderr)
    else:
        usual(message, category, *where)


def _check_arguments(arguments: list[str]) -> None:
    for argument in arguments:
        if "\0" in argument or any("\ud800" <= c <= "\udfff" for c in argument):
            raise InputError(
                f"{quoted(argument)} is not UTF-8 text without null characters; write or name it so"
            )


def _end(message: str, code: int) -> NoReturn:
    """Print one message and stop."""
    print(f"spex-mech: {_shown(message)}", file=sys.stderr)
    sys.exit(code)


def _shown(message: str) -> str:
    """A message without what a terminal would obey, and of a length that a screen holds."""
    shown = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in message)
    if len(shown) <= _MOST_CHARACTERS:
        return shown
    return f"{shown[: _MOST_CHARACTERS - 205]} ... {shown[-200:]}"
