"""Reading a store's files, which another process may be writing: nothing is changed or locked."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.core.files import read_regular, real_folder
from spex_mech.evaluation.store.journal import read_journal
from spex_mech.evaluation.store.shards import Rows, digest, digest_in, from_bytes, is_shard

FORMAT = 3
_READ = (2, FORMAT)  # a store of format 2 has no masks that were asked some questions
_SMALL = (
    1 << 16
)  # bytes; a search writes hundreds of such shards, and each of its steps reads all of them


def read_header(folder: str | Path) -> dict[str, Any]:
    """A store's ``key.json``.

    Raises:
        MissingFileError: no store is there.
        InputError: another format, or a header that is damaged.
    """
    path = real_folder(folder) / "key.json"
    if not os.path.lexists(path):
        raise MissingFileError(
            f"{str(folder)!r} is no run store (it has no key.json); give a folder that "
            "evaluate(..., store=) wrote, such as the 'masks' of a run's folder"
        )
    try:
        content = json.loads(read_regular(path))
        version = content["format"]
        intact = version == 1 or content["sha256"] == _checksum(content)
        intact = intact and (version not in _READ or _is_header(content))
    except (ValueError, KeyError, TypeError, RecursionError, OSError):
        version, content, intact = None, {}, False
    if not intact:
        raise InputError(
            f"{path} is damaged; its shards may be intact: put the file back from a copy, or use "
            "another folder"
        )
    if version not in _READ:
        raise InputError(
            f"{folder} has store format {version}, this version reads {_listed(_READ)}; use another folder, "
            "or the version of spex-mech that wrote it"
        )
    return content


def sessions(folder: str | Path) -> list[int]:
    """The numbers of a store's sessions, in order."""
    names = (path.stem for path in (real_folder(folder) / "sessions").glob("*.json"))
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def read_attached(folder: str | Path, name: str) -> bytes | None:
    """The content of an intact attached file, or None."""
    for path in sorted(real_folder(folder).glob(f"{name}-*.parquet")):
        try:
            content = read_regular(path)
        except OSError:
            continue
        if digest(content) == path.stem.rpartition("-")[2]:
            return content
    return None


def read_blocks(folder: str | Path, n: int) -> Iterator[tuple[str, Rows | None]]:
    """Shards of a store that may be being written, by name; None for one that is damaged or missing.

    Nothing is changed, no lock is taken. A shard that is committed later is not waited for.
    """
    shards = real_folder(folder) / "shards"
    listed = read_journal(shards.parent / "journal.jsonl").shards.keys()
    on_disk = {path.name for path in shards.glob("*.parquet") if is_shard(path.name)}
    for name in sorted(listed | on_disk):
        yield name, read_shard(folder, name, n)


def read_shard(folder: str | Path, name: str, n: int) -> Rows | None:
    """A shard's rows; None if it is damaged or missing, or is not of ``n`` players."""
    try:
        content = read_regular(real_folder(folder) / "shards" / name)
        if digest(content) != digest_in(name):
            return None
        return _parsed(content, n) if len(content) <= _SMALL else from_bytes(content, n)
    except (OSError, ValueError):
        return None


@lru_cache(maxsize=1024)
def _parsed(content: bytes, n: int) -> Rows:
    """A small shard's rows; parsing Parquet takes many times as long as reading and checking the bytes."""
    return from_bytes(content, n)


def damage_text(folder: str | Path, damaged: Sequence[str], stored: int) -> str:
    """What is damaged in a store, how many masks that costs, and what mends it.

    Args:
        folder: the store.
        damaged: names of its damaged or missing shards, at least one.
        stored: masks that can be read.
    """
    listed = read_journal(real_folder(folder) / "journal.jsonl").shards
    lost = sum(listed.get(name, 0) for name in damaged)
    at_least = "" if all(name in listed for name in damaged) else "at least "
    shards = "shard is" if len(damaged) == 1 else "shards are"
    return (
        f"{folder}: {len(damaged)} {shards} damaged or missing ({', '.join(damaged[:3])}"
        f"{', ...' if len(damaged) > 3 else ''}), and with that {at_least}{lost:,} of "
        f"{stored + lost:,} masks; evaluating again with the same settings into the same folder "
        "evaluates those masks again"
    )


def signed(content: Mapping[str, Any]) -> bytes:
    """A header with the checksum of what it says."""
    return json.dumps({**content, "sha256": _checksum(content)}, indent=1).encode()


def _listed(formats: Sequence[int]) -> str:
    return " and ".join(map(str, formats))


def _is_header(content: Mapping[str, Any]) -> bool:
    """Whether a header has what a store's header has; one that somebody else made may not."""
    n, key, facts = content["n"], content["key"], content["facts"]
    if not (type(n) is int and n > 0 and isinstance(key, dict) and isinstance(facts, dict)):
        return False
    players, batch, game = facts.get("players"), facts.get("batch", 1), facts.get("game", {})
    named = players is None or (
        isinstance(players, list)
        and len(players) == n
        and all(isinstance(p, list) and len(p) == 4 and isinstance(p[0], str) for p in players)
    )
    texts = all(isinstance(text, str) for text in key.values())
    return named and texts and type(batch) is int and batch > 0 and isinstance(game, dict)


def _checksum(content: Mapping[str, Any]) -> str:
    signed_part = {k: v for k, v in content.items() if k != "sha256"}
    return digest(json.dumps(signed_part, sort_keys=True, separators=(",", ":")).encode())
