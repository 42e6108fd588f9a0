"""Rows of CSV, JSON Lines and Parquet files; what is broken is named by file and row."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.core.text_files import parse_json, read_text


@dataclass(frozen=True)
class TableRow:
    """One row of a table.

    Attributes:
        where: file and row number, from 1, for error messages.
        values: column name to value.
    """

    where: str
    values: dict[str, Any]

    def __getitem__(self, column: str) -> Any:
        """A column's value.

        Raises:
            InputError: the row has no such column.
        """
        if column not in self.values:
            raise InputError(
                f"{self.where} has no {column!r}; its columns are {', '.join(self.values)}"
            )
        return self.values[column]


def read_table(file: Path, columns: Sequence[str] | None = None) -> list[TableRow]:
    """All rows of a table.

    Args:
        file: a ``.jsonl``, ``.csv`` or ``.parquet`` file.
        columns: column names of a CSV file without header.

    Raises:
        MissingFileError: the file is not there.
        InputError: an unknown kind of file, or a broken row; names file and row.
    """
    if not file.is_file():
        raise MissingFileError(f"{file} does not exist; restore it")
    if file.suffix not in _READERS:
        raise InputError(f"cannot read {file}: expected one of {', '.join(_READERS)}")
    return list(_READERS[file.suffix](file, columns))


def _csv(file: Path, columns: Sequence[str] | None) -> Iterator[TableRow]:
    # Strict: a stray quote is an error, where the default swallows the rows after it.
    reader = csv.reader(io.StringIO(read_text(file, exact=True), newline=""), strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        names = list(columns or next(reader, []))
        for cells in reader:
            rows.append((reader.line_num, cells))
    except csv.Error as error:
        raise InputError(
            f"{file.name}, row {len(rows) + 1} (line {reader.line_num}) cannot be read: {error}; "
            f"mend the row in {file} (quotes doubled inside quotes)"
        ) from None
    twice = [name for name, count in Counter(filter(None, names)).items() if count > 1]
    if twice:
        raise InputError(f"{file.name} has two columns {twice[0]!r}; rename one in {file}")
    while rows and not any(cell.strip() for cell in rows[-1][1]):
        rows.pop()  # spreadsheets write empty lines at the end
    for row, (line, cells) in enumerate(rows, 1):
        where = f"{file.name}, row {row} (line {line})"
        if len(cells) != len(names):
            raise InputError(
                f"{where} has {len(cells)} columns, expected {len(names)}: "
                f"{', '.join(names)}; mend the row in {file}"
            )
        yield TableRow(where, dict(zip(names, cells, strict=True)))


def _json_lines(file: Path, columns: Sequence[str] | None) -> Iterator[TableRow]:
    # Only these end a line: a text may hold the other characters that `splitlines` cuts at.
    lines = read_text(file).split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    for row, line in enumerate(lines, 1):
        where = f"{file.name}, row {row}"
        values = parse_json(line, where)
        if not isinstance(values, dict):
            raise InputError(f"{where} is not an object; expected one object per line")
        yield TableRow(where, values)


def _parquet(file: Path, columns: Sequence[str] | None) -> Iterator[TableRow]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"{file} is no Parquet file: {error}; fetch it again") from None
    for row, values in enumerate(table.to_pylist(), 1):
        yield TableRow(f"{file.name}, row {row}", values)


_READERS: dict[str, Callable[[Path, Sequence[str] | None], Iterator[TableRow]]] = {
    ".csv": _csv,
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}
ENDINGS = tuple(_READERS)
"""Endings of the files that `read_table` reads."""
