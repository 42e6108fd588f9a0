"""What a store's one writer did, line by line: the list that shows when a shard has gone missing.

A line is a JSON object: ``{"shard": name, "rows": m, "session": s, "time": seconds}`` after a shard was
committed, ``{"lost": name, "why": "missing" | "damaged"}`` once that was noticed, and
``{"end": s, "time": seconds}`` when session s closed the store. An object of none of these kinds is what
another version has to say: it is left as it is, and nothing is read off it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from spex_mech.core.files import open_in_place, read_regular
from spex_mech.evaluation.store.shards import is_shard


@dataclass(frozen=True)
class Journal:
    """A journal as it was read.

    Attributes:
        entries: its readable lines, without those of kinds that this version does not know.
        unreadable: how many lines in its middle are damaged.
        torn: whether the last line was cut off while it was written.
        intact: the lines that are not damaged, of all kinds, as they are in the file.
    """

    entries: tuple[Mapping[str, Any], ...]
    unreadable: int
    torn: bool
    intact: bytes

    @property
    def shards(self) -> dict[str, int]:
        """Shards that should be there, and their numbers of rows."""
        live: dict[str, int] = {}
        for entry in self.entries:
            if "shard" in entry:
                live[entry["shard"]] = int(entry["rows"])
            elif "lost" in entry:
                live.pop(entry["lost"], None)
        return live


def read_journal(path: Path) -> Journal:
    """Read a journal; one that is not there is empty."""
    try:
        content = read_regular(path)
    except FileNotFoundError:
        content = b""
    *lines, last = content.split(b"\n")
    parsed = [(line, entry) for line in lines if (entry := _parse(line)) is not None]
    return Journal(
        entries=tuple(entry for _, entry in parsed if _kind(entry)),
        unreadable=len(lines) - len(parsed),
        torn=bool(last),
        intact=b"".join(line + b"\n" for line, _ in parsed),
    )


def append_entry(
    path: Path, entry: Mapping[str, Any], *, sync: bool = True, private: bool = False
) -> None:
    """Add a line; when this returns, it is on disk, or with ``sync=False`` on its way there.

    Raises:
        OSError: it cannot be written; no part of it is left, to which the next line would be added.
    """
    handle = open_in_place(path, append=True, private=private)
    try:
        size = os.fstat(handle).st_size
        line = json.dumps(dict(entry)).encode() + b"\n"
        try:
            while line:
                line = line[os.write(handle, line) :]
            if sync:
                os.fsync(handle)
        except BaseException:
            with contextlib.suppress(OSError):
                os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)


def _parse(line: bytes) -> Mapping[str, Any] | None:
    """A line's object, of whatever kind; None where it is damaged."""
    try:
        entry = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and entry and _is_sound(entry) else None


def _kind(entry: Mapping[str, Any]) -> str | None:
    """Which of the kinds that this version knows an entry is."""
    return next((kind for kind in ("shard", "lost", "end") if kind in entry), None)


def _is_sound(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of a known kind says what a store writes: it names files of the store only."""
    kind = _kind(entry)
    if kind == "shard":
        return (
            _is_name(entry["shard"])
            and _is_number(entry.get("rows"), int, least=0)
            and _is_number(entry.get("time"), int | float)
        )
    if kind == "lost":
        return _is_name(entry["lost"])
    return kind is None or _is_number(entry["end"], int, least=0)


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and is_shard(name)


def _is_number(number: Any, kind: Any, least: float = -inf) -> bool:
    finite = isinstance(number, kind) and not isinstance(number, bool) and abs(number) < inf
    return finite and number >= least
