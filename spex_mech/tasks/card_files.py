"""Card files: TOML with known keys of known types; what is wrong is named by line."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.tasks.task import FORMS


@dataclass(frozen=True)
class SourceKind:
    """A kind of source that a card may have, and the card's keys.

    Attributes:
        name: ``file``, ``hub``, ``generator`` or ``game``.
        sign: the key that only this kind has.
        required: keys that must be there, with their types.
        optional: keys that may be there.
    """

    name: str
    sign: str
    required: Mapping[str, type]
    optional: Mapping[str, type]


_EVERY_CARD = {"version": int, "description": str}
_QUESTIONS = {**_EVERY_CARD, "template": str, "metric": str}
_OPTIONAL = {"form": str, "intro": str, "options": list}
KINDS = (
    SourceKind("file", "data", {**_QUESTIONS, "data": str}, {**_OPTIONAL, "layout": str}),
    SourceKind(
        "hub",
        "hub",
        {**_QUESTIONS, "hub": str, "revision": str, "layout": str, "part": str},
        {**_OPTIONAL, "config": str, "shots_from": str, "published": dict, "groups": dict},
    ),
    SourceKind(
        "generator",
        "generator",
        {
            **_EVERY_CARD,
            "metric": str,
            "generator": str,
            "templates": list,
            "count": int,
            "words": dict,
        },
        {"form": str, "seed": int},
    ),
    SourceKind(
        "game",
        "players",
        {**_EVERY_CARD, "players": int, "sets": int, "degrees": list},
        {"hierarchy": bool, "seed": int},
    ),
)


def read_card(path: Path) -> tuple[str, dict[str, Any]]:
    """The kind and the keys of a card file.

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
    kind = next((k for k in KINDS if k.sign in values), None)
    if kind is None:
        raise InputError(
            f"task card {path} has no source; expected one of the keys "
            f"{', '.join(k.sign for k in KINDS)}"
        )
    _check_keys(path, text, values, kind)
    form = values.get("form", "letters")
    if form not in FORMS:
        raise InputError(
            f"{_at(path, text, 'form')}: unknown form {form!r}; expected one of {', '.join(FORMS)}"
        )
    return kind.name, values


def _check_keys(path: Path, text: str, values: dict[str, Any], kind: SourceKind) -> None:
    known = {**kind.required, **kind.optional}
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise InputError(
                f"{_at(path, text, key)}: unknown key {key!r}; did you mean {near!r}? A card with "
                f"{kind.sign!r} has {', '.join(known)}"
            )
        if not isinstance(value, known[key]) or (known[key] is int and isinstance(value, bool)):
            raise InputError(
                f"{_at(path, text, key)}: {key} is {value!r}, expected {_WORDS[known[key]]}"
            )
    missing = [key for key in kind.required if key not in values]
    if missing:
        last = len(text.splitlines())
        raise InputError(
            f"task card {path} (lines 1 to {last}) lacks {', '.join(map(repr, missing))}; add a line "
            f"such as: {missing[0]} = {_EXAMPLES[kind.required[missing[0]]]}"
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
