"""Card files: TOML with known keys of known types; what is wrong is named by line."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, get_args, get_origin

from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.core.quoting import quoted
from spex_mech.core.text_files import MOST_BYTES, parse_toml, read_text
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
    text = read_text(path, most=MOST_BYTES)
    values = parse_toml(text, f"task card {path}")
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
            f"{_at(path, text, 'form')}: unknown form {quoted(form)}; expected one of {', '.join(FORMS)}"
        )
    return source.name, values


def _check_keys(path: Path, text: str, values: dict[str, Any], source: Source) -> None:
    known = {**source.required, **source.optional}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(key[:100], known, n=1, cutoff=0.0)[0]
            raise InputError(
                f"{_at(path, text, key)}: unknown key {quoted(key)}; did you mean {near!r}? A card with "
                f"{source.sign!r} has {', '.join(known)}"
            )
        if not _fits(value, known[key]):
            raise InputError(
                f"{_at(path, text, key)}: {key} is {quoted(value)}, expected {_WORDS[known[key]]}"
            )
    missing = [key for key in source.required if key not in values]
    if missing:
        last = text.removesuffix("\n").count("\n") + 1
        raise InputError(
            f"task card {path} (lines 1 to {last}) lacks {', '.join(map(repr, missing))}; add a line "
            f"such as: {missing[0]} = {_EXAMPLES[_kind(source.required[missing[0]])]}"
        )


def _kind(wanted: Any) -> type:
    """``list`` of ``list[str]``; any plain type as it is."""
    return get_origin(wanted) or wanted


def _fits(value: Any, wanted: Any) -> bool:
    """Whether a value is of a type such as ``int``, ``list[str]`` or ``dict[str, list[str]]``."""
    if not isinstance(value, _kind(wanted)) or (wanted is int and isinstance(value, bool)):
        return False
    inner = get_args(wanted)
    items = value.values() if isinstance(value, dict) else value
    return not inner or all(_fits(item, inner[-1]) for item in items)


_WORDS: dict[Any, str] = {
    list[str]: "a list of texts",
    list[int]: "a list of whole numbers",
    dict[str, list[str]]: "a table of lists of texts",
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
    lines = (i for i, line in enumerate(text.split("\n"), 1) if pattern.match(line))
    return f"task card {path}, line {next(lines, 1)}"
