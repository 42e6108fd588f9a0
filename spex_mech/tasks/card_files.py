"""Card files: TOML with known keys of known types; what is wrong is named by line."""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Any

from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.tasks.sources import SOURCES
from spex_mech.tasks.sources.source import Source
from spex_mech.tasks.task import FORMS


def read_card(path: Path) -> tuple[str, dict[str, Any]]:
    """The name of the source and the keys of a card file.

    Raises:
        MissingFileError: the file is not there.
        InputError: not TOML, no source, a missing or unknown key or one of the wrong type; names the
            line.
    """
    if not path.is_file():
        raise MissingFileError(
            f"task card {str(path)!r} does not exist; give a card file or a task name"
        )
    text = path.read_text(encoding="utf-8")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"task card {path} is not TOML: {error}") from None
    source = next((s for s in SOURCES if s.sign in values), None)
    if source is None:
        raise InputError(
            f"task card {path} has no source; expected one of the keys "
            f"{', '.join(s.sign for s in SOURCES)}"
        )
    _check_keys(path, text, values, source)
    form = values.get("form", "letters")
    if form not in FORMS:
        raise InputError(
            f"{_at(path, text, 'form')}: unknown form {form!r}; expected one of {', '.join(FORMS)}"
        )
    return source.name, values


def _check_keys(path: Path, text: str, values: dict[str, Any], source: Source) -> None:
    known = {**source.required, **source.optional}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise InputError(
                f"{_at(path, text, key)}: unknown key {key!r}; did you mean {near!r}? A card with "
                f"{source.sign!r} has {', '.join(known)}"
            )
        if not isinstance(value, known[key]) or (known[key] is int and isinstance(value, bool)):
            raise InputError(
                f"{_at(path, text, key)}: {key} is {value!r}, expected {_WORDS[known[key]]}"
            )
    missing = [key for key in source.required if key not in values]
    if missing:
        last = len(text.splitlines())
        raise InputError(
            f"task card {path} (lines 1 to {last}) lacks {', '.join(map(repr, missing))}; add a line "
            f"such as: {missing[0]} = {_EXAMPLES[source.required[missing[0]]]}"
        )


_WORDS = {
    int: "a whole number",
    str: "text",
    list: "a list",
    dict: "a table",
    bool: "true or false",
}
_EXAMPLES = {int: "1", str: '"..."', list: "[...]", dict: "{...}", bool: "true"}


def _at(path: Path, text: str, key: str) -> str:
    """Where a key stands in a card."""
    pattern = re.compile(rf"""^\s*\[?\s*["']?{re.escape(key)}["']?\s*[\].=]""")
    lines = (i for i, line in enumerate(text.splitlines(), 1) if pattern.match(line))
    return f"task card {path}, line {next(lines, 1)}"
