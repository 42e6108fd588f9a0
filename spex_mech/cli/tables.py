"""Tables and paragraphs that fit a terminal of 100 columns, and results as JSON."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Sequence
from typing import Any

import typer

COLUMNS = 100
"""Most columns that a command prints, paths apart: those are never cut."""

_INDENT = "  "
_LEAST = 24  # columns that are left for the last column of a table, however wide the others are


def say(text: str = "", *, indent: str = "") -> None:
    """Print a paragraph; lines that are too long go on below, indented.

    Args:
        text: the paragraph; its own line ends stay.
        indent: what stands before its first line.
    """
    for line in text.split("\n"):
        own = line[: len(line) - len(line.lstrip(" "))]
        folded = _folded(line.strip(" "), COLUMNS - len(indent + own) - len(_INDENT))
        for number, part in enumerate(folded):
            typer.echo((indent + own + (_INDENT if number else "") + part).rstrip())


def say_table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str) -> None:
    """Print a table; texts of its last column that are too long go on in the next line.

    Args:
        header: the columns' names.
        rows: a text for each column.
        align: ``l`` (left) or ``r`` (right) for each column.
    """
    every = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in every) for i in range(len(header))]
    before = sum(widths[:-1]) + 2 * (len(widths) - 1)
    left = max(_LEAST, COLUMNS - len(_INDENT) - before)
    for row in every:
        cells = [
            text.rjust(width) if side == "r" else text.ljust(width)
            for text, width, side in zip(row[:-1], widths, align, strict=False)
        ]
        last = _folded(row[-1], left) if align[-1] == "l" else [row[-1].rjust(widths[-1])]
        typer.echo((_INDENT + "  ".join([*cells, last[0]])).rstrip())
        for more in last[1:]:
            typer.echo(_INDENT + " " * before + more)


def say_json(content: Any) -> None:
    """Print JSON and nothing else; numbers that are not finite become null."""
    typer.echo(json.dumps(_plain(content), indent=1, ensure_ascii=False, allow_nan=False))


def _folded(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
