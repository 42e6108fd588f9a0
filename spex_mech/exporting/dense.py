"""The dense form of a pruned model: every tensor as large as before, removed parts zero."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from spex_mech.ablation.gates import Gates
from spex_mech.ablation.sites import by_heads
from spex_mech.core.errors import InputError
from spex_mech.models.model import Model

# What experts, and MLPs beside them, call the projections that write.
_LAST = {"down_proj", "down_proj_bias", "output_linear", "w2"}


def dense_state(model: Model, gates: Gates, rescale: bool) -> dict[str, torch.Tensor]:
    """The model's state with the removed parts zeroed; only changed tensors are copied.

    Args:
        model: the model; it is not changed.
        gates: what one ablated model keeps (m = 1).
        rescale: multiply the kept heads' output columns of every layer by H / |kept|.

    Returns:
        A state dict whose model answers like the one ablated to zero.

    Raises:
        InputError: a removed part that is not written by parameters of its own.
    """
    state = dict(model.hf.state_dict())
    name_of = {id(parameter): name for name, parameter in model.hf.named_parameters()}

    def copy_of(parameter: nn.Parameter) -> torch.Tensor:
        name = name_of.get(id(parameter))
        if name is None:
            raise InputError(
                f"{model.name!r} ({type(model.hf).__name__}) cannot be exported: TransformerLens computes a "
                "removed part from copies of its weights"
            )
        state[name] = state[name].clone()
        return state[name]

    scale = gates.head_scale()[0] if rescale else np.ones(model.shape.n_layers)
    for layer, block in enumerate(model.bridge.blocks):
        if not gates.mlps[0, layer]:
            for parameter in _mlp_output(block.mlp, model, layer):
                copy_of(parameter).zero_()
        factor = torch.from_numpy(gates.heads[0, layer] * scale[layer])
        whole = bool((factor == 1).all())
        if whole and gates.attention[0, layer]:
            continue
        projection = block.attn.o.original_component
        if not whole:
            heads = by_heads(projection, copy_of(projection.weight), model.shape.n_heads)
            heads.mul_(factor.to(heads)[:, None])
        if not gates.attention[0, layer]:
            for parameter in projection.parameters(recurse=False):
                copy_of(parameter).zero_()
    return state


def _mlp_output(mlp: Any, model: Model, layer: int) -> Iterator[nn.Parameter]:
    """The parameters that write what an MLP adds: of its last projection, or of those of all experts."""
    if "out" in mlp.submodules:
        yield from mlp.out.original_component.parameters(recurse=False)
        return
    named = mlp.original_component.named_parameters()
    last = [parameter for name, parameter in named if _LAST & {*name.split(".")}]
    if not last:
        raise InputError(
            f"the MLP of layer {layer} of {model.name!r} ({type(mlp.original_component).__name__}) cannot be "
            f"zeroed: none of its parameters is called {', '.join(sorted(_LAST))}; keep it"
        )
    yield from last
