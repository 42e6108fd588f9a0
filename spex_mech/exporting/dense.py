"""The dense form of a pruned model: every tensor as large as before, removed parts zero."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from spex_mech.ablation.gates import Gates
from spex_mech.models.model import Model


def dense_state(model: Model, gates: Gates, rescale: bool) -> dict[str, torch.Tensor]:
    """The model's state with the removed parts zeroed; only changed tensors are copied.

    Args:
        model: the model; it is not changed.
        gates: what one ablated model keeps (m = 1).
        rescale: multiply the kept heads' output columns of every layer by H / |kept|.

    Returns:
        A state dict whose model answers like the one ablated to zero.
    """
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
