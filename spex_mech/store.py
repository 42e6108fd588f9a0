"""`RunStore`: what was evaluated, on disk, append-only and checksummed.

A store is a folder, format version 1:

    key.json                        {"format": 1, "n": players, "key": {field: text}, "environment": {...}}
    shards/00000-<sha256>.parquet   rows in the order they were evaluated; the name carries the
                                    SHA-256 of the file's bytes
    lock                            held (flock) by the one process that writes

A shard's columns: ``mask`` (fixed-size binary, ceil(n / 8) bytes, player i = bit i % 8 of byte
i // 8, 1 = present), ``value`` (float64) and, where the game keeps scores, ``scores`` (fixed-size
list of float32, row-major over the shape in the column's metadata). Shards are written under a
temporary name, synced to disk and renamed: a reader sees whole shards only.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import platform
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float32, Float64

from spex_mech.errors import InputError

FORMAT = 1


class RunStore:
    """A folder of evaluated masks, open for appending by this process; use it as a context manager.

    Args:
        folder: the store; made if it is not there.
        key: what decides the answers, field by field.
        n: number of players.

    Raises:
        InputError: the folder belongs to another key (the field that differs is named), is not a
            store, or is being written by another process.
    """

    def __init__(self, folder: str | Path, key: Mapping[str, str], n: int) -> None:
        self.folder = Path(folder)
        self._n = n
        self._shards = self.folder / "shards"
        header = self.folder / "key.json"
        if self.folder.exists() and not header.exists() and any(self.folder.iterdir()):
            raise InputError(
                f"{self.folder} is not a run store and not empty; choose another folder"
            )
        if header.exists():
            self._check(json.loads(header.read_text(encoding="utf-8")), dict(key))
        self._shards.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self.folder / "lock")
        if not header.exists():
            content = {"format": FORMAT, "n": n, "key": dict(key), "environment": _environment()}
            _write(header, json.dumps(content, indent=1).encode())

    def __enter__(self) -> RunStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._lock.close()

    def append(
        self,
        masks: Bool[np.ndarray, "m n"],
        values: Float64[np.ndarray, " m"],
        scores: Float32[np.ndarray, "m ..."] | None,
    ) -> None:
        """Commit a shard: when this returns, the rows are on disk."""
        octets = np.packbits(masks, axis=1, bitorder="little")
        columns = {
            "mask": pa.array([row.tobytes() for row in octets], pa.binary(octets.shape[1])),
            "value": pa.array(values, pa.float64()),
        }
        shape: list[int] = []
        if scores is not None:
            shape = list(scores.shape[1:])
            flat = pa.array(np.ascontiguousarray(scores, dtype=np.float32).reshape(-1))
            columns["scores"] = pa.FixedSizeListArray.from_arrays(flat, int(np.prod(shape)))
        table = pa.table(columns).replace_schema_metadata({"shape": json.dumps(shape)})
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        content = buffer.getvalue()
        digest = hashlib.sha256(content).hexdigest()
        number = 1 + max((int(p.name[:5]) for p in self._shards.glob("?????-*")), default=-1)
        _write(self._shards / f"{number:05d}-{digest}.parquet", content)

    def read(
        self,
    ) -> tuple[
        Bool[np.ndarray, "m n"], Float64[np.ndarray, " m"], Float32[np.ndarray, "m ..."] | None
    ]:
        """All committed rows; a damaged shard is set aside with a warning and its rows are missing."""
        parts = [self._read(path) for path in sorted(self._shards.glob("*.parquet"))]
        parts = [part for part in parts if part is not None]
        if not parts:
            return np.empty((0, self._n), dtype=bool), np.empty(0), None
        masks, values, scores = zip(*parts, strict=True)
        kept = None if scores[0] is None else np.concatenate(scores)
        return np.concatenate(masks), np.concatenate(values), kept

    def _read(self, path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray | None] | None:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != path.stem.split("-")[1]:
            aside = path.with_suffix(".damaged")
            path.rename(aside)
            warnings.warn(
                f"shard {path.name} of {self.folder} is damaged; it was set aside as {aside.name} "
                "and its masks will be evaluated again",
                stacklevel=3,
            )
            return None
        table = pq.read_table(io.BytesIO(content))
        octets = np.frombuffer(b"".join(table["mask"].to_pylist()), dtype=np.uint8)
        rows = octets.reshape(len(table), -1)
        masks = np.unpackbits(rows, axis=1, count=self._n, bitorder="little").astype(bool)
        values = table["value"].to_numpy()
        if "scores" not in table.column_names:
            return masks, values, None
        shape = json.loads(table.schema.metadata[b"shape"])
        flat = table["scores"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
        return masks, values, flat.reshape(len(table), *shape)

    def _check(self, header: Mapping, key: dict[str, str]) -> None:
        if header["format"] != FORMAT:
            raise InputError(
                f"{self.folder} has store format {header['format']}, this version reads {FORMAT}"
            )
        stored = {**header["key"], "number of players": str(header["n"])}
        given = {**key, "number of players": str(self._n)}
        for field in sorted(stored.keys() | given.keys()):
            if stored.get(field) != given.get(field):
                raise InputError(
                    f"{self.folder} was evaluated with another {field}: it has "
                    f"{_short(stored.get(field))}, this run has {_short(given.get(field))}; use "
                    "another folder, or the settings of that run"
                )


def _short(text: str | None) -> str:
    if text is None:
        return "none"
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _lock(path: Path) -> io.IOBase:
    handle = path.open("a")
    try:
        import fcntl
    except ModuleNotFoundError:  # no advisory locks on this platform
        return handle
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise InputError(
            f"{path.parent} is being written by another process; wait for it or use another folder"
        ) from None
    return handle


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".part")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _environment() -> dict[str, str]:
    return {
        "spex-mech": version("spex-mech"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "platform": platform.platform(),
    }
