"""How far a run is: read off its stores' journals, without its lock and without disturbing its writer."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spex_mech.core.errors import MissingFileError
from spex_mech.core.files import read_regular, real_folder
from spex_mech.evaluation.store.journal import Journal, read_journal
from spex_mech.evaluation.store.lock import is_alive, lock_owner
from spex_mech.evaluation.store.reading import read_header, read_shard, sessions


@dataclass(frozen=True)
class StoreStatus:
    """A store at one moment.

    Attributes:
        folder: the store.
        stored: masks that are committed and intact.
        missing: masks of damaged or missing shards, which another evaluation evaluates again.
        shards: files that are there.
        size: bytes of those files.
        done: masks that the last writer has committed.
        wanted: masks that it was to evaluate; 0 before there was one.
        rate: masks per second that it commits, or committed; None before its second shard. Where the clock
            was set back, since then.
        seconds_left: estimated; 0 when it is finished, None where that cannot be told.
        last: seconds since its last shard, or since it began; None where the clock says that this is yet to
            come, because it was set back.
        writer: ``finished``, ``writing`` or ``ended`` (before it was finished) with its process and
            host; ``unknown`` where that is on another host.
        damaged: shards that are damaged or missing now.
        lost: shards that were damaged or missing earlier; their masks were evaluated again since, or
            will be.
        noise_floor: as its session recorded it.
        executor: where it evaluates.
    """

    folder: Path
    stored: int
    missing: int
    shards: int
    size: int
    done: int
    wanted: int
    rate: float | None
    seconds_left: float | None
    last: float | None
    writer: str
    damaged: tuple[str, ...]
    lost: tuple[str, ...]
    noise_floor: float | None
    executor: str


def run_status(folder: str | Path, *, verify: bool = True) -> list[StoreStatus]:
    """The state of a store, or of all stores in a run's folder, oldest first.

    Args:
        folder: the store, or the run's folder.
        verify: read every shard and compare its checksum, which takes about a second per gigabyte; else
            only shards that are not there count as damaged.

    Raises:
        MissingFileError: no store is there.
    """
    path = real_folder(folder)
    if (path / "key.json").is_file():
        return [_status(path, verify)]
    stores = [header.parent for header in path.glob("*/key.json")]
    if not stores:
        raise MissingFileError(
            f"{str(folder)!r} holds no run store; give a folder that spex-mech run or evaluate(..., "
            "store=) writes to"
        )
    return [_status(store, verify) for store in sorted(stores, key=_born)]


def _status(folder: Path, verify: bool) -> StoreStatus:
    n = int(read_header(folder)["n"])
    journal = read_journal(folder / "journal.jsonl")
    number, session = _last_session(folder)
    committed = [e for e in journal.entries if "shard" in e and e.get("session") == number]
    done = sum(e["rows"] for e in committed) if number is not None else 0
    wanted = _count(session.get("wanted"))
    rate = _rate(committed)
    finished = _is_finished(journal, number) and done >= wanted
    left = 0.0 if finished else max(0, wanted - done) / rate if rate else None
    sizes = {p.name: p.stat().st_size for p in (folder / "shards").glob("*.parquet")}
    gone = [e["lost"] for e in journal.entries if "lost" in e and e["lost"] not in journal.shards]
    damaged = [
        name
        for name, rows in sorted(journal.shards.items())
        if name not in sizes or (verify and not _is_intact(folder, name, n, rows))
    ]
    began = committed[-1]["time"] if committed else _number(session.get("time"))
    last = None if began is None else time.time() - began
    return StoreStatus(
        folder=folder,
        stored=sum(rows for name, rows in journal.shards.items() if name not in damaged),
        missing=sum(journal.shards[name] for name in damaged),
        shards=len(sizes),
        size=sum(sizes.values()),
        done=done,
        wanted=wanted,
        rate=rate,
        seconds_left=left,
        last=None if last is None or last < 0 else last,
        writer="finished" if finished else _writer(folder),
        damaged=tuple(damaged),
        lost=tuple(dict.fromkeys(gone)),
        noise_floor=_number(session.get("noise_floor")),
        executor=_executor(session.get("executor")),
    )


def _is_intact(folder: Path, name: str, n: int, rows: int) -> bool:
    content = read_shard(folder, name, n)
    return content is not None and len(content) == rows


def _rate(committed: list[Any]) -> float | None:
    """Masks per second between the first and the last shard: starting workers is not counted."""
    times = [entry["time"] for entry in committed]
    set_back = [i for i in range(1, len(times)) if times[i] < times[i - 1]]
    committed = committed[set_back[-1] if set_back else 0 :]
    if len(committed) < 2 or committed[-1]["time"] <= committed[0]["time"]:
        return None
    return sum(e["rows"] for e in committed[1:]) / (committed[-1]["time"] - committed[0]["time"])


def _last_session(folder: Path) -> tuple[int | None, dict[str, Any]]:
    numbers = sessions(folder)
    if not numbers:
        return None, {}
    try:
        session = json.loads(read_regular(folder / "sessions" / f"{numbers[-1]:04d}.json"))
    except (OSError, ValueError, RecursionError):
        session = None
    return numbers[-1], session if isinstance(session, dict) else {}


# What a session says may come from another version, or be damaged.


def _count(said: Any) -> int:
    return said if type(said) is int and said >= 0 else 0


def _number(said: Any) -> float | None:
    return float(said) if type(said) in (int, float) else None


def _executor(said: Any) -> str:
    return str(said.get("executor", "unknown")) if isinstance(said, dict) else "unknown"


def _is_finished(journal: Journal, number: int | None) -> bool:
    return number is None or any(e.get("end") == number for e in journal.entries)


def _writer(folder: Path) -> str:
    owner = lock_owner(folder)
    if owner is None:
        return "unknown"
    state = {True: "writing", False: "ended", None: "unknown"}[is_alive(owner)]
    return f"{state} (process {owner['pid']} on {owner['host']})"


def _born(store: Path) -> float:
    return (store / "key.json").stat().st_mtime
