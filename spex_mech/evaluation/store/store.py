"""`RunStore`: what was evaluated, on disk, append-only and checksummed.

A store is a folder, format version 3, readable with pyarrow and NumPy alone:

    key.json                        {"format": 3, "n": players, "key": {field: text}, "facts": {...},
                                    "sha256": of the rest, as sorted JSON without blanks}
    shards/000000-<sha256>.parquet  rows, a file for each finished chunk; the name carries the SHA-256
                                    of the file's bytes
    journal.jsonl                   a line for each committed shard (see `journal`): what is listed and
                                    not there has gone missing
    sessions/0000.json              what each writer was asked: resolved spec, design and its seed,
                                    environment, executor, masks wanted, measured noise floor
    examples-<sha256>.parquet       of games with prompts: ids, right columns, options, lengths, texts
    lock                            held (flock) by the one process that writes; says which

``key`` is what decides an answer, ``facts`` what readers want beside it (player names, masks per batch,
names of model, task and metric). A shard's columns: ``mask`` (fixed-size binary, ceil(n / 8) bytes,
player i = bit i % 8 of byte i // 8, 1 = present), ``value`` (float64) and, where the game keeps scores,
``scores`` (fixed-size list of float32, row-major over the shape in the table's metadata ``shape``). In a
shard whose masks were asked q questions each, ``questions`` (fixed-size list of q int64) has their positions
among the examples, ``shape`` begins with q, and ``value`` is the mean over those questions. Format 2 has no
such shards; a store of that format is turned into one of format 3 before the first is written.

Every file but the journal is written under a temporary name (``.NAME.random.part``), synced to disk and
renamed: a reader sees whole files only, and a process that is killed leaves nothing that is read. The
journal's lines for shards are not waited for: the next writer adds what a power failure kept from it.
"""

from __future__ import annotations

import json
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from spex_mech.core.errors import DamagedStoreWarning, InputError
from spex_mech.core.files import check_folder, make_folder, real_folder, write_whole
from spex_mech.evaluation.store.journal import append_entry, read_journal
from spex_mech.evaluation.store.lock import lock_folder
from spex_mech.evaluation.store.reading import (
    FORMAT,
    read_attached,
    read_header,
    read_shard,
    sessions,
    signed,
)
from spex_mech.evaluation.store.shards import Rows, digest, is_shard, to_bytes

_OWN = re.compile(r"shards|sessions|lock|.*\.part")


class RunStore:
    """A folder of evaluated masks, open for appending by this process; use it as a context manager.

    Opening it puts right what a killed process left: unfinished files are removed, a committed shard
    that the journal does not list is taken up, a listed one that is not there is named.

    Args:
        folder: the store; made if it is not there.
        key: what decides the answers, field by field.
        n: number of players.
        facts: what readers want to know beside the key; kept as the first writer gave it.

    Attributes:
        facts: those of the first writer.

    Raises:
        InputError: the folder belongs to another key (the field that differs is named), is not a
            store, cannot be written to, or is being written by another process.
    """

    def __init__(
        self,
        folder: str | Path,
        key: Mapping[str, str],
        n: int,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = real_folder(folder)
        self._n = n
        self._shards = self.folder / "shards"
        self._journal = self.folder / "journal.jsonl"
        self._session: int | None = None
        header = self.folder / "key.json"
        if self.folder.exists() and not header.exists() and not _is_fresh(self.folder):
            raise InputError(
                f"{self.folder} is not a run store and not empty; choose another folder"
            )
        check_folder(self.folder)
        try:
            make_folder(self._shards)
            make_folder(self.folder / "sessions")
            self._lock = lock_folder(self.folder)
        except OSError as error:
            raise _cannot_write(self.folder, "its lock", error) from error
        try:
            if header.exists():
                content = read_header(self.folder)
                self._check(content, dict(key))
                if content["format"] != FORMAT:
                    content["format"] = FORMAT
                    del content["sha256"]
                    self._write(header, signed(content))
            else:
                content = {"format": FORMAT, "n": n, "key": dict(key), "facts": dict(facts or {})}
                self._write(header, signed(content))
            self.facts: dict[str, Any] = content["facts"]
            self._heal()
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> RunStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._session is not None and kind is None:
                self._note({"end": self._session, "time": time.time()})
        finally:
            self._lock.close()

    def begin(self, session: Mapping[str, Any]) -> None:
        """Say what is about to be evaluated; `append` counts its rows to this session."""
        self._session = 1 + max(sessions(self.folder), default=-1)
        content = {**session, "time": time.time(), "pid": os.getpid()}
        path = self.folder / "sessions" / f"{self._session:04d}.json"
        self._write(path, json.dumps(content, indent=1).encode())

    def attach(self, name: str, content: bytes) -> None:
        """Keep a file beside the shards as ``<name>-<sha256>.parquet``, unless an intact one is there."""
        if read_attached(self.folder, name) is None:
            self._write(self.folder / f"{name}-{digest(content)}.parquet", content, private=True)

    def append(
        self,
        masks: Bool[np.ndarray, "m n"],
        values: Float64[np.ndarray, " m"],
        scores: Float32[np.ndarray, "m ..."] | None,
        questions: Int64[np.ndarray, "m q"] | None = None,
    ) -> None:
        """Commit a shard: when this returns, or is interrupted from the keyboard, the rows are on disk.

        `Rows` says what each argument is.

        Raises:
            InputError: the disk is full or cannot be written to; earlier rows stay readable.
        """
        number, rows = self._next, Rows(masks, values, scores, questions)
        try:
            self._commit(number, rows)
        except KeyboardInterrupt:  # hours may have gone into these rows; a second one is obeyed
            self._commit(number, rows, again=True)
            raise

    def blocks(self) -> Iterator[Rows]:
        """All committed rows, shard by shard; damaged shards are set aside with a warning."""
        for name in sorted(read_journal(self._journal).shards):
            rows = read_shard(self.folder, name, self._n)
            if rows is None:
                self._set_aside(name)
            else:
                yield rows

    def read(
        self,
    ) -> tuple[
        Bool[np.ndarray, "m n"], Float64[np.ndarray, " m"], Float32[np.ndarray, "m ..."] | None
    ]:
        """All masks that were asked all questions; a damaged shard is set aside with a warning."""
        parts = [rows for rows in self.blocks() if rows.questions is None]
        if not parts:
            return np.empty((0, self._n), dtype=bool), np.empty(0), None
        scores = [part.scores for part in parts if part.scores is not None]
        return (
            np.concatenate([part.masks for part in parts]),
            np.concatenate([part.values for part in parts]),
            np.concatenate(scores) if scores else None,
        )

    def _commit(self, number: int, rows: Rows, *, again: bool = False) -> None:
        """Write a shard and list it, once."""
        content = to_bytes(rows)
        name = f"{number:06d}-{digest(content)}.parquet"
        self._write(self._shards / name, content)
        if not (again and name in read_journal(self._journal).shards):
            # The shard is on disk. Should its line not get there, the next writer adds it.
            self._note(self._line(name, len(rows)), sync=False)
        self._next = number + 1

    def _heal(self) -> None:
        """Put right what a killed process or a damaged disk left behind."""
        for part in (*self.folder.glob("*.part"), *self.folder.glob("s*/*.part")):
            part.unlink()  # the lock says that nobody is writing them
        journal = read_journal(self._journal)
        if journal.torn or journal.unreadable:
            self._write(self._journal, journal.intact)
        if journal.unreadable:
            self._warn(
                f"{journal.unreadable} lines of its journal are damaged; they were dropped, and a "
                "shard that only they listed cannot be missed"
            )
        on_disk = {path.name for path in self._shards.iterdir() if is_shard(path.name)}
        for name in sorted(journal.shards.keys() - on_disk):
            self._note({"lost": name, "why": "missing"})
            self._warn(f"shard {name} is missing; its masks will be evaluated again")
        for name in sorted(on_disk - journal.shards.keys()):
            rows = read_shard(self.folder, name, self._n)
            if rows is None:
                self._set_aside(name)
            else:
                self._note(self._line(name, len(rows)))
        seen = {path.name for path in self._shards.iterdir()} | {
            entry["shard"] for entry in journal.entries if "shard" in entry
        }
        numbers = [int(name.split("-")[0]) for name in seen if name[:6].isdigit()]
        self._next = 1 + max(numbers, default=-1)

    def _set_aside(self, name: str) -> None:
        aside = (self._shards / name).with_suffix(".damaged")
        (self._shards / name).rename(aside)
        self._note({"lost": name, "why": "damaged"})
        self._warn(
            f"shard {name} is damaged; it was set aside as {aside.name} and its masks will be "
            "evaluated again"
        )

    def _warn(self, problem: str) -> None:
        warnings.warn(f"{self.folder}: {problem}", DamagedStoreWarning, stacklevel=4)

    def _line(self, name: str, rows: int) -> dict[str, Any]:
        return {"shard": name, "rows": rows, "session": self._session, "time": time.time()}

    def _note(self, entry: Mapping[str, Any], *, sync: bool = True) -> None:
        try:
            append_entry(self._journal, entry, sync=sync)
        except OSError as error:
            raise _cannot_write(self.folder, self._journal.name, error) from error

    def _write(self, path: Path, content: bytes, *, private: bool = False) -> None:
        try:
            write_whole(path, content, private=private)
        except OSError as error:
            raise _cannot_write(self.folder, path.name, error) from error

    def _check(self, header: Mapping[str, Any], key: dict[str, str]) -> None:
        stored = {**header["key"], "number of players": str(header["n"])}
        this_run = {**key, "number of players": str(self._n)}
        for field in sorted(stored.keys() | this_run.keys()):
            if stored.get(field) != this_run.get(field):
                remedy = "use another folder, or the settings of that run"
                if "code" in stored or "code" in this_run:
                    remedy += (
                        "; a function that has an attribute ``fingerprint``, a text, is compared by that "
                        "instead of its code and variables"
                    )
                raise InputError(
                    f"{self.folder} was evaluated with another {field}: it has "
                    f"{_short(stored.get(field))}, this run has {_short(this_run.get(field))}; {remedy}"
                )


def _is_fresh(folder: Path) -> bool:
    """Whether a folder holds nothing but what a writer makes before its header."""
    return folder.is_dir() and all(
        _OWN.fullmatch(path.name) and not (path.is_dir() and any(path.iterdir()))
        for path in folder.iterdir()
    )


def _cannot_write(folder: Path, content: str, error: OSError) -> InputError:
    return InputError(
        f"cannot write {content} to {folder}: {error.strerror or error}; what was committed stays "
        "readable (open_run); make room, or make the folder writable, and run again"
    )


def _short(text: str | None) -> str:
    if text is None:
        return "none"
    return repr(text if len(text) <= 40 else text[:37] + "...")
