"""What a store's one writer did, line by line: the list that shows when a shard has gone missing.

A line is a JSON object: ``{"shard": name, "rows": m, "session": s, "time": seconds}`` after a shard was
committed, ``{"lost": name, "why": "missing" | "damaged"}`` once that was noticed, and
``{"end": s, "time": seconds}`` when session s closed the store.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spex_mech.core.files import open_in_place, read_regular
from spex_mech.evaluation.store.shards import is_shard


@dataclass(frozen=True)
class Journal:
    """A journal as it was read.

    Attributes:
        entries: its readable lines.
        unreadable: how many lines in its middle are no JSON objects.
        torn: whether the last line was cut off while it was written.
    """

    entries: tuple[Mapping[str, Any], ...]
    unreadable: int
    torn: bool

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
        text = read_regular(path).decode(errors="replace")
    except FileNotFoundError:
        text = ""
    *lines, last = text.split("\n")
    parsed = [_parse(line) for line in lines]
    entries = tuple(entry for entry in parsed if entry is not None)
    return Journal(entries, len(parsed) - len(entries), bool(last))


def append_entry(
    path: Path, entry: Mapping[str, Any], *, sync: bool = True, private: bool = False
) -> None:
    """Add a line; when this returns, it is on disk, or with ``sync=False`` on its way there."""
    with os.fdopen(open_in_place(path, append=True, private=private), "ab") as file:
        file.write(to_bytes([entry]))
        file.flush()
        if sync:
            os.fsync(file.fileno())


def to_bytes(entries: Iterable[Mapping[str, Any]]) -> bytes:
    """Entries as the journal's lines."""
    return b"".join(json.dumps(dict(entry)).encode() + b"\n" for entry in entries)


def _parse(line: str) -> Mapping[str, Any] | None:
    try:
        entry = json.loads(line)
    except json.JSONDecodeError:
        return None
    return entry if isinstance(entry, dict) and _is_known(entry) else None


def _is_known(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is one that a store writes: it names files of the store only."""
    if "shard" in entry:
        return (
            _is_name(entry["shard"])
            and _is_number(entry.get("rows"), int)
            and _is_number(entry.get("time"), int | float)
        )
    if "lost" in entry:
        return _is_name(entry["lost"])
    return _is_number(entry.get("end"), int)


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and is_shard(name)


def _is_number(number: Any, kind: Any) -> bool:
    return isinstance(number, kind) and not isinstance(number, bool) and 0 <= number < float("inf")
