"""Rotary embeddings whose angles depend on the longest prompt of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


def side_of(hf: Any) -> Callable[[int], int]:
    """A function from a prompt's length to a number; prompts of one number may stand in one batch.

    LongRoPE turns all positions of a batch by its long factors as soon as one prompt is longer than
    ``original_max_position_embeddings``. Dynamic NTK changes its angles beyond the model's context only,
    which no prompt of a game exceeds.

    Args:
        hf: the Hugging Face model.
    """
    limits = sorted(set(_limits(hf.config.get_text_config())))
    return lambda length: sum(length > limit for limit in limits)


def _limits(text: Any) -> Iterator[int]:
    parameters = getattr(text, "rope_parameters", None) or {}
    layers = [p for p in parameters.values() if isinstance(p, dict)]
    for rope in layers or [parameters]:
        if rope.get("rope_type") == "longrope":
            yield rope.get("original_max_position_embeddings") or text.max_position_embeddings
