"""What a store keeps beside the evaluations, so that the rest can be redone without the model."""

from __future__ import annotations

import io
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int64

from spex_mech.core.games import Game, Questions
from spex_mech.core.masks import mask_hash
from spex_mech.designs import MaskDesign

EXAMPLES = "examples"


def facts_of(game: Game, batch: int) -> dict[str, Any]:
    """What readers of a store want to know of a game: players, masks per batch, names of its parts."""
    players = game.players
    return {
        "players": None
        if players is None
        else [[p.name, p.kind, p.layer, p.index] for p in players],
        "batch": batch,
        "game": game.describe(),
    }


def session_of(
    design: MaskDesign,
    executor: Mapping[str, Any],
    wanted: int,
    spec: Mapping[str, Any] | None,
    counts: Int64[np.ndarray, " m"] | None = None,
) -> dict[str, Any]:
    """What one writer was to evaluate, where and with which settings.

    ``counts`` (m,) says how many questions each mask is asked; None is all.
    """
    rates = design.keep_rates
    return {
        "spec": None if spec is None else dict(spec),
        "design": {
            "kind": design.kind,
            "seed": design.seed,
            "masks": len(design),
            "sha256": mask_hash(design.masks),
            "keep_rates": None if rates is None else rates.tolist(),
        },
        "wanted": wanted,
        "rows": None if counts is None else int(counts.sum()),
        "executor": dict(executor),
        "environment": environment(),
    }


def environment() -> dict[str, str]:
    """Versions of what is loaded, and the platform."""
    loaded = ("torch", "transformers", "transformer_lens", "ray")
    versions = {
        name: str(getattr(sys.modules[name], "__version__", "unknown"))
        for name in loaded
        if name in sys.modules
    }
    return {
        "spex-mech": version("spex-mech"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        **versions,
        "platform": platform.platform(),
        "host": platform.node(),
    }


def examples_file(questions: Questions) -> bytes:
    """A game's examples as a Parquet file, one row per example.

    Columns: ``id``, ``right`` (column of the right answer), ``answers`` (token ids), ``options`` (rows
    of the scored texts), ``lengths`` (characters of each answer), ``prompt`` and ``texts`` (of the
    answers); null where the game has none.
    """
    count = len(questions.ids)
    prompts = [None if text is None else text[0] for text in questions.texts]
    texts = [None if text is None else list(text[1]) for text in questions.texts]
    table = pa.table(
        {
            "id": pa.array(questions.ids, pa.string()),
            "right": pa.array(questions.right, pa.int64()),
            "answers": _lists(questions.answers, count, pa.int64()),
            "options": _lists(questions.options, count, pa.int64()),
            "lengths": _lists(questions.lengths, count, pa.float64()),
            "prompt": pa.array(prompts, pa.string()),
            "texts": pa.array(texts, pa.list_(pa.string())),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _lists(array: np.ndarray | None, count: int, kind: pa.DataType) -> pa.Array:
    rows = [None] * count if array is None else array.tolist()
    return pa.array(rows, pa.list_(kind))
