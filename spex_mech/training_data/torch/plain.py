"""Training one subset in a plain loop: absent examples are truly not there."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from spex_mech.training_data.torch.recipe import Recipe
from spex_mech.training_data.torch.stacked import logits_of, make_optimizer, take_step

_POINTS = 256


def train_alone(
    module: nn.Module,
    inputs: Tensor,
    labels: Int[Tensor, " N"],
    present: Bool[Tensor, " N"],
    recipe: Recipe,
    seed: int,
) -> nn.Module:
    """Train a copy of ``module`` on one subset; see `stacked.train_stacked`.

    Each minibatch is cut down to the examples that are present. With batch normalisation a minibatch of
    one example, which has no variance, counts as empty.

    Returns:
        The trained copy, in evaluation mode.
    """
    model = copy.deepcopy(module).train()
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = make_optimizer(weights, recipe)
    steps = recipe.minibatches(len(inputs), seed)
    least = 2 if has_batch_statistics(module) else 1
    with torch.enable_grad():
        for rows, rate in zip(steps, recipe.rates(len(steps)), strict=True):
            index = torch.from_numpy(rows).to(inputs.device)
            index = index[present[index]]
            if len(index) < least:
                for weight in weights:
                    weight.grad = torch.zeros_like(weight)
            else:
                optimizer.zero_grad()
                logits = logits_of(model(inputs[index]))
                nn.functional.cross_entropy(logits, labels[index]).backward()
                if recipe.clip is not None:
                    nn.utils.clip_grad_norm_(weights, recipe.clip)
            take_step(optimizer, rate)
    return model.eval()


def score_alone(model: nn.Module, points: Tensor) -> Float[Tensor, "t k"]:
    """Logits of a model at every test point."""
    with torch.no_grad():
        return torch.cat([logits_of(model(part)) for part in points.split(_POINTS)])


def has_batch_statistics(module: nn.Module) -> bool:
    """Whether an example's output depends on the examples beside it, as with batch normalisation."""
    return any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in module.modules())
