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
    mask = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(octets.shape[1]), len(octets), [None, pa.py_buffer(octets.tobytes())]
    )
    columns: dict[str, pa.Array] = {
        "mask": mask,
        "value": pa.array(np.asarray(rows.values, dtype=np.float64)),
    }
    shape: list[int] = []
    if rows.scores is not None:
        shape = list(rows.scores.shape[1:])
        flat = np.ascontiguousarray(rows.scores, dtype=np.float32).reshape(-1)
        columns["scores"] = pa.FixedSizeListArray.from_arrays(pa.array(flat), int(np.prod(shape)))
    table = pa.table(columns).replace_schema_metadata({"shape": json.dumps(shape)})
    buffer = io.BytesIO()
    # Scores hardly compress and have no repeats: dictionaries and statistics would only cost time.
    pq.write_table(table, buffer, compression="NONE", use_dictionary=False, write_statistics=False)
    return buffer.getvalue()


def from_bytes(content: bytes, n: int) -> Rows:
    """Undo `to_bytes`; ``n`` is the number of players."""
    table = pq.read_table(pa.BufferReader(content))
    octets = np.frombuffer(table["mask"].combine_chunks().buffers()[1], dtype=np.uint8)
    octets = octets.reshape(len(table), -1)
    masks = np.unpackbits(octets, axis=1, count=n, bitorder="little").view(bool)
    values = table["value"].to_numpy()
    if "scores" not in table.column_names:
        return Rows(masks, values, None)
    shape = json.loads(table.schema.metadata[b"shape"])
    flat = table["scores"].combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return Rows(masks, values, flat.reshape(len(table), *shape))


def digest(content: bytes) -> str:
    """SHA-256 as hexadecimal text."""
    return hashlib.sha256(content).hexdigest()
