"""The examples that a store keeps beside its scores, read without the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from spex_mech.core.errors import InputError
from spex_mech.evaluation.store.metadata import EXAMPLES
from spex_mech.evaluation.store.reading import read_attached
from spex_mech.tasks.prompts import Prompts


def read_examples(folder: Path) -> pa.Table:
    """The table that `metadata.examples_file` wrote.

    Raises:
        InputError: a store of a game without examples, or one whose examples are damaged.
    """
    content = read_attached(folder, EXAMPLES)
    if content is None:
        raise InputError(
            f"{folder} has no intact {EXAMPLES}-*.parquet: the game had no examples, or the file is damaged "
            "(evaluate with the model writes it again)"
        )
    return pq.ParquetFile(pa.BufferReader(content)).read()


def prompts_of(table: pa.Table) -> Prompts:
    """The examples' ids, right answers and options; their tokens are not stored."""
    columns = {name: table[name].to_pylist() for name in ("answers", "options", "lengths")}
    arrays = {name: None if rows[0] is None else np.array(rows) for name, rows in columns.items()}
    return Prompts(
        ids=tuple(table["id"].to_pylist()),
        tokens=(),
        answers=arrays["answers"],
        right=np.array(table["right"].to_pylist()),
        options=arrays["options"],
        lengths=arrays["lengths"],
    )


def texts_of(table: pa.Table) -> list[tuple[str | None, list[str] | None]]:
    """Prompt and options of each example, where the task had texts."""
    return list(zip(table["prompt"].to_pylist(), table["texts"].to_pylist(), strict=True))
