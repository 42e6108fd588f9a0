"""``spex-mech open``: the report of a run in the browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from spex_mech.cli.completion import complete_run
from spex_mech.core.errors import InputError, MissingFileError


def open_report(
    folder: Annotated[
        Path, typer.Argument(help="A run's folder.", autocompletion=complete_run)
    ] = Path("runs/demo"),
) -> None:
    """Open the report of a run in the browser, and print where it lies."""
    page = folder / "report.html"
    if not page.is_file():
        if not (folder / "spec.json").is_file():
            raise MissingFileError(
                f"{str(folder)!r} holds no run; give a folder that spex-mech run or evaluate writes to"
            )
        raise MissingFileError(
            f"{folder} has no report.html yet; spex-mech report {folder} writes it"
        )
    typer.echo(f"report: {page}")
    if not webbrowser.open(page.absolute().as_uri()):
        raise InputError(f"no browser was found here; open {page} in one, or copy that one file")
