"""One shard: evaluated masks as the bytes of a Parquet file, and back. The format is in `store`."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float32, Float64


@dataclass(frozen=True, eq=False)
class Rows:
    """Evaluated masks.

    Attributes:
        masks: bool (m, n), True = present.
        values: float64 (m,).
        scores: float32 (m, examples, ...), or None of games that keep none.
    """

    masks: Bool[np.ndarray, "m n"]
    values: Float64[np.ndarray, " m"]
    scores: Float32[np.ndarray, "m ..."] | None

    def __len__(self) -> int:
        return len(self.masks)


def to_bytes(rows: Rows) -> bytes:
    """A Parquet file with the columns ``mask``, ``value`` and, where there are any, ``scores``."""
    octets = np.packbits(rows.masks, axis=1, bitorder="little")
    columns = {
        "mask": _array(octets, pa.binary(octets.shape[1]), len(octets)),
        "value": _array(np.asarray(rows.values, dtype=np.float64), pa.float64(), len(octets)),
    }
    shape: list[int] = []
    if rows.scores is not None:
        shape = list(rows.scores.shape[1:])
        flat = _array(np.asarray(rows.scores, dtype=np.float32), pa.float32(), rows.scores.size)
        columns["scores"] = pa.FixedSizeListArray.from_arrays(flat, int(np.prod(shape)))
    table = pa.table(columns).replace_schema_metadata({"shape": json.dumps(shape)})
    buffer = io.BytesIO()
    # Scores hardly compress and have no repeats: dictionaries and statistics would only cost time.
    pq.write_table(table, buffer, compression="NONE", use_dictionary=False, write_statistics=False)
    return buffer.getvalue()


def from_bytes(content: bytes, n: int) -> Rows:
    """Undo `to_bytes`; ``n`` is the number of players."""
    table = pq.ParquetFile(pa.BufferReader(content)).read()
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    octets = np.frombuffer(columns["mask"].buffers()[1], dtype=np.uint8).reshape(len(table), -1)
    masks = np.unpackbits(octets, axis=1, count=n, bitorder="little").view(bool)
    values = _numbers(columns["value"], np.float64)
    if "scores" not in columns:
        return Rows(masks, values, None)
    shape = json.loads(table.schema.metadata[b"shape"])
    flat = _numbers(columns["scores"].flatten(), np.float32)
    return Rows(masks, values, flat.reshape(len(table), *shape))


# Arrow's own conversions import pandas where it is installed, which takes longer than a shard.


def _array(numbers: np.ndarray, kind: pa.DataType, count: int) -> pa.Array:
    return pa.Array.from_buffers(kind, count, [None, pa.py_buffer(np.ascontiguousarray(numbers))])


def _numbers(array: pa.Array, kind: type[np.generic]) -> np.ndarray:
    start = array.offset * np.dtype(kind).itemsize
    return np.frombuffer(array.buffers()[-1], kind, len(array), start)


def digest(content: bytes) -> str:
    """SHA-256 as hexadecimal text."""
    return hashlib.sha256(content).hexdigest()
