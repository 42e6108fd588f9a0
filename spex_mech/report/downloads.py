"""What can be taken from a report: a table of all interactions, and the files of the run."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from spex_mech.core.interactions import Interactions, interactions
from spex_mech.report.contents import Contents

TABLE = "interactions.csv"
_FILES = (
    (TABLE, "all interactions as a table"),
    ("interactions.json", "the same, as JSON"),
    ("spectrum.json", "every term of the spectrum"),
    ("check.json", "held-out masks: predicted and measured"),
    ("question-effects.json", "what parts are worth to single questions"),
    ("kept.json", "the kept sets"),
    ("results.json", "their scores on test questions"),
    ("circuit.json", "the circuit"),
    ("circuit.graphml", "the circuit for graph programs"),
    ("circuit-curves.json", "how faithful the kept sets of all methods are"),
    ("attention.json", "what the circuit's heads attend to"),
    ("spec.json", "all settings"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what makes a spreadsheet read a cell as a formula


def interactions_csv(contents: Contents) -> str | None:
    """A line for each set of players: index, order, value, standard deviation, names; largest first.

    The effects of single players (Banzhaf values) stand first. None where nothing was decoded.
    """
    if contents.spectrum is None or contents.interactions is None:
        return None
    found = contents.interactions
    most = max((len(s) for s in found.values), default=1)
    file = io.StringIO()
    table = csv.writer(file, lineterminator="\n")
    names = [f"player {i}" for i in range(1, max(1, most) + 1)]
    table.writerow(["index", "order", "value", "standard deviation", *names])
    for values in (interactions(contents.spectrum, "Banzhaf", 1), found):
        for row in _rows(values, contents):
            table.writerow(row + [""] * (4 + len(names) - len(row)))
    return file.getvalue()


def files_of(contents: Contents) -> list[tuple[str, str]]:
    """Names of the files beside the page and what they hold, those that are there."""
    folder: Path = contents.folder.path
    return [(name, what) for name, what in _FILES if (folder / name).is_file()]


def _rows(values: Interactions, contents: Contents) -> list[list[str]]:
    std = values.std
    ranked = sorted(values.values.items(), key=lambda item: -abs(item[1]))
    return [
        [
            values.index,
            str(len(members)),
            repr(float(value)),
            "" if std is None else repr(float(std[members])),
            *(_cell(contents.players.names[i]) for i in members),
        ]
        for members, value in ranked
    ]


def _cell(name: str) -> str:
    """A name as text: one that a spreadsheet would compute gets an apostrophe in front."""
    return f"'{name}" if name.startswith(_FORMULA) else name
