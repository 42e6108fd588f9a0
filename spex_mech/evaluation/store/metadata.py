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

from spex_mech.core.masks import mask_hash
from spex_mech.designs import MaskDesign

EXAMPLES = "examples"


def facts_of(game: Any, batch: int) -> dict[str, Any]:
    """What readers of a store want to know of a game: players, masks a batch, names and settings."""
    players = getattr(game, "players", None)
    named = {
        "model": _name(game, "model"),
        "task": _name(game, "task"),
        "metric": _name(game, "metric"),
        "ablation": _name(game, "ablation"),
        "split": getattr(game, "split", None),
    }
    return {
        "players": None
        if players is None
        else [[p.name, p.kind, p.layer, p.index] for p in players],
        "batch": batch,
        "game": {name: value for name, value in named.items() if value is not None},
    }


def session_of(
    design: MaskDesign, executor: Mapping[str, Any], wanted: int, spec: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What one writer was asked."""
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
        "executor": dict(executor),
        "environment": environment(),
    }


def environment() -> dict[str, str]:
    """Versions of what is loaded, and the platform."""
    loaded = ("torch", "transformers", "transformer_lens", "ray")
    found = {
        name: str(getattr(sys.modules[name], "__version__", "unknown"))
        for name in loaded
        if name in sys.modules
    }
    return {
        "spex-mech": version("spex-mech"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        **found,
        "platform": platform.platform(),
        "host": platform.node(),
    }


def examples_of(game: Any) -> bytes | None:
    """A game's examples as a Parquet file, a row each; None for a game without prompts.

    Columns: ``id``, ``right`` (column of the right answer), ``answers`` (token ids), ``options`` (rows
    of the prompts), ``lengths`` (characters of each option), ``prompt`` and ``texts`` (of the options);
    null where the game has none.
    """
    prompts = getattr(game, "prompts", None)
    if prompts is None:
        return None
    texts = {x.id: x for x in getattr(game.task, "examples", ())}
    rows = [texts.get(name) for name in prompts.ids]
    table = pa.table(
        {
            "id": pa.array(prompts.ids, pa.string()),
            "right": pa.array(prompts.right, pa.int64()),
            "answers": _lists(prompts.answers, len(rows), pa.int64()),
            "options": _lists(prompts.options, len(rows), pa.int64()),
            "lengths": _lists(prompts.lengths, len(rows), pa.float64()),
            "prompt": pa.array([None if x is None else x.prompt for x in rows], pa.string()),
            "texts": pa.array(
                [None if x is None else list(x.options) for x in rows], pa.list_(pa.string())
            ),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def _lists(array: np.ndarray | None, count: int, kind: pa.DataType) -> pa.Array:
    rows = [None] * count if array is None else array.tolist()
    return pa.array(rows, pa.list_(kind))


def _name(game: Any, part: str) -> str | None:
    name = getattr(getattr(game, part, None), "name", None)
    return name if isinstance(name, str) else None
