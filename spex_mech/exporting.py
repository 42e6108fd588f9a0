"""Exporting a pruned model as a checkpoint that others can load."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from spex_mech.ablation.gates import spread
from spex_mech.errors import InputError, OutputExistsError
from spex_mech.masks import check_masks
from spex_mech.models import Model, bars_on_terminals_only
from spex_mech.players import PlayerSet


def export(
    model: Model,
    players: PlayerSet,
    mask: npt.ArrayLike,
    folder: str | Path,
    *,
    mode: str = "dense",
    rescale: bool = False,
) -> Path:
    """Write the model without its removed players as a stock Hugging Face checkpoint.

    ``dense`` keeps the architecture: a removed head's columns of the output projection become zero
    (times H / |kept| for the layer's kept heads with ``rescale``), a removed MLP's last projection
    and a removed layer's two become zero with their biases. Its logits equal those of the model
    ablated to zero. The tokenizer is saved beside it. The model given is not changed.

    Args:
        model: the model that was pruned.
        players: the players of ``mask``.
        mask: bool (n,), True = kept.
        folder: where to write; must not exist.
        mode: ``dense``.
        rescale: fold the published rescaling into the kept heads.

    Returns:
        The folder.

    Raises:
        OutputExistsError: the folder exists.
        InputError: a mask of the wrong width or dtype, or an unknown mode.
    """
    if mode != "dense":
        raise InputError(f"unknown export mode {mode!r}; expected 'dense'")
    target = Path(folder)
    if target.exists():
        raise OutputExistsError(f"{target} exists; choose a new folder")
    checked = check_masks(mask, players.n)
    if len(checked) != 1:
        raise InputError(f"export takes one mask (n,), got {len(checked)}")
    weights = _dense(model, players, checked, rescale)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Written beside the target and renamed, so that a failure leaves nothing behind.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as part:
        whole = Path(part) / "model"
        with bars_on_terminals_only():
            model.hf.save_pretrained(whole, state_dict=weights)
        if model.tokenizer is not None:
            model.tokenizer.save_pretrained(whole)
        shutil.move(whole, target)
    return target


def _dense(
    model: Model, players: PlayerSet, mask: np.ndarray, rescale: bool
) -> dict[str, torch.Tensor]:
    """The model's state with the removed parts zeroed; only changed tensors are copied."""
    gates = spread(players, model.shape, mask)
    state = dict(model.hf.state_dict())
    name_of = {id(parameter): name for name, parameter in model.hf.named_parameters()}

    def copy_of(parameter: nn.Parameter) -> torch.Tensor:
        name = name_of[id(parameter)]
        state[name] = state[name].clone()
        return state[name]

    scale = gates.head_scale()[0] if rescale else np.ones(model.shape.n_layers)
    for layer, block in enumerate(model.bridge.blocks):
        projection = block.attn.o.original_component
        factor = torch.from_numpy(gates.heads[0, layer] * scale[layer])
        if not bool((factor == 1).all()):
            weight = copy_of(projection.weight)
            by_input = weight if isinstance(projection, nn.Linear) else weight.T  # GPT-2's Conv1D
            heads = by_input.unflatten(1, (model.shape.n_heads, -1))
            heads.mul_(factor.to(heads)[:, None])
        for linear, kept in (
            (projection, gates.attention[0, layer]),
            (block.mlp.out.original_component, gates.mlps[0, layer]),
        ):
            for parameter in [] if kept else linear.parameters(recurse=False):
                copy_of(parameter).zero_()
    return state
