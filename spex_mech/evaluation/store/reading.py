"""Reading a store's files, which another process may be writing: nothing is changed or locked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.evaluation.store.journal import read_journal
from spex_mech.evaluation.store.shards import Rows, digest, from_bytes

FORMAT = 2
_SHARD = re.compile(r"(\d{6,})-([0-9a-f]{64})\.parquet")


def read_header(folder: str | Path) -> dict[str, Any]:
    """A store's ``key.json``.

    Raises:
        MissingFileError: no store is there.
        InputError: another format, or a header that is damaged.
    """
    path = Path(folder) / "key.json"
    if not path.is_file():
        raise MissingFileError(
            f"{str(folder)!r} is no run store (it has no key.json); give a folder that "
            "evaluate(..., store=) wrote, such as the 'masks' of a run's folder"
        )
    try:
        content = json.loads(path.read_bytes())
        version = content["format"]
        intact = version == 1 or content["sha256"] == _checksum(content)
    except (ValueError, KeyError, TypeError):
        version, content, intact = None, {}, False
    if not intact:
        raise InputError(
            f"{path} is damaged; its shards may be intact: put the file back from a copy, or use "
            "another folder"
        )
    if version != FORMAT:
        raise InputError(
            f"{folder} has store format {version}, this version reads {FORMAT}; use another folder, "
            "or the version of spex-mech that wrote it"
        )
    return content


def read_attached(folder: str | Path, name: str) -> bytes | None:
    """The content of an intact attached file, or None."""
    for path in sorted(Path(folder).glob(f"{name}-*.parquet")):
        content = path.read_bytes()
        if digest(content) == path.stem.rpartition("-")[2]:
            return content
    return None


def read_blocks(folder: str | Path, n: int) -> Iterator[tuple[str, Rows | None]]:
    """Shards of a store that may be being written, by name; None for one that is damaged or missing.

    Nothing is changed, no lock is taken. A shard that is committed later is not waited for.
    """
    shards = Path(folder) / "shards"
    listed = read_journal(Path(folder) / "journal.jsonl").shards.keys()
    on_disk = {path.name for path in shards.glob("*.parquet") if is_shard(path.name)}
    for name in sorted(listed | on_disk):
        yield name, read_shard(folder, name, n)


def read_shard(folder: str | Path, name: str, n: int) -> Rows | None:
    """A shard's rows; None if it is damaged or missing."""
    try:
        content = (Path(folder) / "shards" / name).read_bytes()
    except FileNotFoundError:
        return None
    return from_bytes(content, n) if digest(content) == digest_in(name) else None


def is_shard(name: str) -> bool:
    """Whether a file's name is that of a shard."""
    return _SHARD.fullmatch(name) is not None


def digest_in(name: str) -> str:
    """The SHA-256 that a shard's name carries."""
    return name.partition("-")[2].partition(".")[0]


def signed(content: Mapping[str, Any]) -> bytes:
    """A header with the checksum of what it says."""
    return json.dumps({**content, "sha256": _checksum(content)}, indent=1).encode()


def _checksum(content: Mapping[str, Any]) -> str:
    said = {k: v for k, v in content.items() if k != "sha256"}
    return digest(json.dumps(said, sort_keys=True, separators=(",", ":")).encode())
