"""An export is read back before it gets its name: all weights are there, and the logits are right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int

from spex_mech.ablation.fills import zero
from spex_mech.ablation.proof import disagreement
from spex_mech.ablation.reference import ReferenceEngine
from spex_mech.core.errors import InputError
from spex_mech.core.players import PlayerSet
from spex_mech.models.checkpoints import read_weights
from spex_mech.models.model import Model
from spex_mech.models.shapes import context_of
from spex_mech.tasks.prompts import Prompts

_TOKENS = 8
_FIRST, _LAST = 3, 256  # ids below are often special, ids far above may stand for images


def masked_logits(
    model: Model, players: PlayerSet, mask: np.ndarray, *, rescale: bool
) -> Float32[np.ndarray, " v"]:
    """The masked model's logits after a fixed prompt, by the reference engine.

    Args:
        model: the whole model.
        players: the players of ``mask``.
        mask: bool (n,), True = kept.
        rescale: whether kept heads are rescaled.

    Raises:
        InputError: a model or players that the reference engine does not take.
    """
    vocabulary = model.hf.get_output_embeddings().weight.shape[0]
    prompts = Prompts(
        ids=("prompt",),
        tokens=(tuple(_prompt(model.hf).tolist()),),
        answers=np.arange(vocabulary)[None],
        right=np.zeros(1, dtype=np.int64),
    )
    engine = ReferenceEngine(model, prompts, players, zero(rescale=rescale))
    return engine.scores(mask[None])[0, 0]


def plain_logits(hf: Any) -> Float32[np.ndarray, " v"]:
    """A Hugging Face model's logits after the same prompt."""
    device = hf.get_input_embeddings().weight.device
    ids = torch.from_numpy(_prompt(hf))[None].to(device)
    with torch.inference_mode():
        return hf(ids).logits[0, -1].float().cpu().numpy()


def check_export(folder: Path, hf: Any, expected: Float32[np.ndarray, " v"]) -> None:
    """Read a checkpoint with the class of the model that was written, and compare its logits.

    A second copy of the weights is in memory meanwhile.

    Args:
        folder: the checkpoint.
        hf: the model that was written, or one of its class.
        expected: what `plain_logits` of the checkpoint must be.

    Raises:
        InputError: weights that are missing, left over or of other shapes, or other logits.
    """
    dtype = hf.get_input_embeddings().weight.dtype
    check_logits(hf, _logits_of(folder, hf), expected, dtype)


def check_logits(
    hf: Any, got: Float32[np.ndarray, " v"], expected: Float32[np.ndarray, " v"], dtype: torch.dtype
) -> None:
    """Compare the logits of a checkpoint that was read back.

    Args:
        hf: the model that was written.
        got: its logits when read back.
        expected: what they must be.
        dtype: the dtype of the weights.

    Raises:
        InputError: they differ by more than rounding.
    """
    if disagreement(got[None, None], expected[None, None], dtype) is not None:
        largest = float(np.abs(got - expected).max())
        raise InputError(
            f"the checkpoint of this {type(hf).__name__} would not hold the masked model: read back, its "
            f"logits differ by {largest:.3g}. Nothing was written; export another form (mode=), or use a "
            "model whose architecture stock Transformers saves whole"
        )


def _logits_of(folder: Path, hf: Any) -> Float32[np.ndarray, " v"]:
    """`plain_logits` of a checkpoint of a model's class, on its devices."""
    weight = hf.get_input_embeddings().weight
    spread_out = getattr(hf, "hf_device_map", None) is not None
    options: dict[str, Any] = {"device_map": "auto"} if spread_out else {}
    try:
        again = read_weights(
            type(hf), str(folder), dtype=weight.dtype, attn_implementation="eager", **options
        )
        return plain_logits(again if spread_out else again.to(weight.device))
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        said = f"{error}".replace(f"{folder}", "the folder")
        raise InputError(
            f"the checkpoint of this {type(hf).__name__} cannot be read back, so nothing was written: {said}"
        ) from error


def _prompt(hf: Any) -> Int[np.ndarray, " t"]:
    vocabulary = hf.get_input_embeddings().weight.shape[0]
    first = min(_FIRST, vocabulary - 1)
    tokens = min(_TOKENS, context_of(hf.config) or _TOKENS)
    return np.random.default_rng(0).integers(first, min(_LAST, vocabulary), tokens)
