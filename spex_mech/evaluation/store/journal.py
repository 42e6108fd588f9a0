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
    text = path.read_bytes().decode(errors="replace") if path.exists() else ""
    *lines, last = text.split("\n")
    parsed = [_parse(line) for line in lines]
    entries = tuple(entry for entry in parsed if entry is not None)
    return Journal(entries, len(parsed) - len(entries), bool(last))


def append_entry(path: Path, entry: Mapping[str, Any], *, sync: bool = True) -> None:
    """Add a line; when this returns, it is on disk, or with ``sync=False`` on its way there."""
    with path.open("ab") as file:
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
    known = isinstance(entry, dict) and (
        ("shard" in entry and isinstance(entry.get("rows"), int)) or entry.keys() & {"lost", "end"}
    )
    return entry if known else None
