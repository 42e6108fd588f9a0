"""One shard: evaluated masks as the bytes of a Parquet file, and back. The format is in `store`.

A shard of a received store may say anything: what is not exactly what `to_bytes` writes is refused.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Float32, Float64, Int64

_NAME = re.compile(r"(\d{6,})-([0-9a-f]{64})\.parquet")


@dataclass(frozen=True, eq=False)
class Rows:
    """Evaluated masks.

    Attributes:
        masks: bool (m, n), True = present.
        values: float64 (m,), means over the questions that each mask was asked.
        scores: float32 (m, examples, ...), or None of games that keep none; (m, q, ...) where each mask was
            asked q questions.
        questions: int64 (m, q), positions of the questions that each mask was asked; None for all.
    """

    masks: Bool[np.ndarray, "m n"]
    values: Float64[np.ndarray, " m"]
    scores: Float32[np.ndarray, "m ..."] | None
    questions: Int64[np.ndarray, "m q"] | None = None

    def __len__(self) -> int:
        return len(self.masks)


def to_bytes(rows: Rows) -> bytes:
    """A Parquet file: ``mask``, ``value`` and, where there are any, ``scores`` and ``questions``."""
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
    if rows.questions is not None:
        asked = np.asarray(rows.questions, dtype=np.int64)
        flat = _array(asked, pa.int64(), asked.size)
        columns["questions"] = pa.FixedSizeListArray.from_arrays(flat, asked.shape[1])
    table = pa.table(columns).replace_schema_metadata({"shape": json.dumps(shape)})
    buffer = io.BytesIO()
    # Scores hardly compress and have no repeats: dictionaries and statistics would only cost time.
    pq.write_table(table, buffer, compression="NONE", use_dictionary=False, write_statistics=False)
    return buffer.getvalue()


def from_bytes(content: bytes, n: int) -> Rows:
    """Undo `to_bytes`.

    Args:
        content: a shard's bytes.
        n: number of players.

    Raises:
        ValueError: not what `to_bytes` writes for ``n`` players: other columns, masks of another width,
            values that are not finite, negative or repeated questions, compressed data.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        shape = _shape_of(file, n)
        table = file.read()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"not a Parquet file of a store: {error}") from error
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    if any(column.null_count for column in columns.values()):
        raise ValueError("a shard with missing values")
    octets = _octets(columns["mask"], n)
    masks = np.unpackbits(octets, axis=1, count=n, bitorder="little").view(bool)
    masks.setflags(write=False)  # as the other columns are
    if (np.packbits(masks, axis=1, bitorder="little") != octets).any():
        raise ValueError(f"masks of more than {n} players")
    values = _numbers(columns["value"], np.float64)
    if not np.isfinite(values).all():
        raise ValueError("values that are not finite")
    if "scores" not in columns:
        return Rows(masks, values, None)
    scores = _numbers(columns["scores"].flatten(), np.float32).reshape(len(table), *shape)
    if "questions" not in columns:
        return Rows(masks, values, scores)
    asked = _numbers(columns["questions"].flatten(), np.int64).reshape(len(table), shape[0])
    ordered = np.sort(asked, axis=1)
    if (ordered < 0).any() or (np.diff(ordered, axis=1) == 0).any():
        raise ValueError("questions that are negative or repeated")
    return Rows(masks, values, scores, asked)


def _shape_of(file: pq.ParquetFile, n: int) -> list[int]:
    """The shape of one mask's scores, after checking that the file has the columns of a shard."""
    schema, metadata = file.schema_arrow, file.metadata
    shape = json.loads((schema.metadata or {}).get(b"shape", b"null"))
    if not isinstance(shape, list) or not all(type(k) is int and k >= 0 for k in shape):
        raise ValueError("a shard without the shape of its scores")
    expected = [("mask", pa.binary(-(-n // 8))), ("value", pa.float64())]
    if "scores" in schema.names:
        expected.append(("scores", pa.list_(pa.float32(), math.prod(shape))))
        if "questions" in schema.names and shape:
            expected.append(("questions", pa.list_(pa.int64(), shape[0])))
    if [(field.name, field.type) for field in schema] != expected:
        raise ValueError(f"columns {schema.names} of other types than those of {n} players")
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    if any(g.column(i).compression != "UNCOMPRESSED" for g in groups for i in range(g.num_columns)):
        raise ValueError("a compressed shard; a store writes none")
    return shape


def is_shard(name: str) -> bool:
    """Whether a file's name is that of a shard."""
    return _NAME.fullmatch(name) is not None


def digest_in(name: str) -> str:
    """The SHA-256 that a shard's name carries."""
    return name.partition("-")[2].partition(".")[0]


# Arrow's own conversions import pandas where it is installed, which takes longer than a shard.


def _array(numbers: np.ndarray, kind: pa.DataType, count: int) -> pa.Array:
    return pa.Array.from_buffers(kind, count, [None, pa.py_buffer(np.ascontiguousarray(numbers))])


def _octets(array: pa.Array, n: int) -> np.ndarray:
    """Masks as bytes, (m, ceil(n / 8))."""
    width = -(-n // 8)
    octets = np.frombuffer(array.buffers()[1], np.uint8, len(array) * width, array.offset * width)
    return octets.reshape(len(array), width)


def _numbers(array: pa.Array, kind: type[np.generic]) -> np.ndarray:
    start = array.offset * np.dtype(kind).itemsize
    return np.frombuffer(array.buffers()[-1], kind, len(array), start)


def digest(content: bytes) -> str:
    """SHA-256 as hexadecimal text."""
    return hashlib.sha256(content).hexdigest()
