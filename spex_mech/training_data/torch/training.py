"""Training a network on subsets: many at once in a stack of weights, or one in a plain loop.

In a stack, the forward pass of all models is one ``torch.func.vmap`` of ``functional_call`` over the
stacked weights; the minibatch is shared, and absent examples have weight 0 in the loss. The losses of
different models touch different weights, so the gradient of their sum is each model's own gradient, and
the optimisers' updates are elementwise: every model takes exactly the steps that it would take alone
(`train_alone`), up to rounding.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.func import functional_call, vmap

from spex_mech.training_data.torch.recipe import Recipe

_POINTS = 256  # test points scored together


def train_stacked(
    module: nn.Module,
    inputs: Tensor,
    labels: Int[Tensor, " N"],
    present: Bool[Tensor, "b N"],
    recipe: Recipe,
    seed: int,
) -> dict[str, Tensor]:
    """Train a copy of ``module`` on each subset; all start from its weights.

    Args:
        module: gives initial weights and forward pass; not changed. Parameters that need no gradient
            are shared and stay as they are.
        inputs: (N, ...) the whole training set.
        labels: int64 (N,).
        present: bool (b, N), the subset of each model.
        recipe: optimiser, length and order.
        seed: of the order.

    Returns:
        Final weights: name to (b, ...).
    """
    b = len(present)
    weights = {
        name: p.detach().expand(b, *p.shape).clone().requires_grad_()
        for name, p in module.named_parameters()
        if p.requires_grad
    }
    present = present.to(inputs.device, torch.float32)
    optimizer = _make_optimizer(list(weights.values()), recipe)
    steps = recipe.minibatches(len(inputs), seed)
    forward = _forward(module)
    with torch.enable_grad():
        for rows, rate in zip(steps, recipe.rates(len(steps)), strict=True):
            index = torch.from_numpy(rows).to(inputs.device)
            logits = forward(weights, inputs[index])
            each = nn.functional.cross_entropy(
                logits.flatten(0, 1), labels[index].repeat(b), reduction="none"
            ).view(b, -1)
            share = present[:, index]
            loss = (each * share).sum(dim=1) / share.sum(dim=1).clamp(min=1.0)
            optimizer.zero_grad()
            loss.sum().backward()
            if recipe.clip is not None:
                _clip(list(weights.values()), recipe.clip)
            _take_step(optimizer, rate)
    return {name: weight.detach() for name, weight in weights.items()}


def score_stacked(
    module: nn.Module, weights: dict[str, Tensor], points: Tensor
) -> Float[Tensor, "b t k"]:
    """Logits of every model of a stack at every test point."""
    forward = _forward(module)
    with torch.no_grad():
        parts = [forward(weights, part) for part in points.split(_POINTS)]
    return torch.cat(parts, dim=1)


def train_alone(
    module: nn.Module,
    inputs: Tensor,
    labels: Int[Tensor, " N"],
    present: Bool[Tensor, " N"],
    recipe: Recipe,
    seed: int,
) -> nn.Module:
    """Train a copy of ``module`` on one subset; see `train_stacked`.

    Each minibatch is cut down to the examples that are present. With batch normalisation a minibatch of
    one example, which has no variance, counts as empty.

    Returns:
        The trained copy, in evaluation mode.
    """
    model = copy.deepcopy(module).train()
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = _make_optimizer(weights, recipe)
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
            _take_step(optimizer, rate)
    return model.eval()


def score_alone(model: nn.Module, points: Tensor) -> Float[Tensor, "t k"]:
    """Logits of a model at every test point."""
    with torch.no_grad():
        return torch.cat([logits_of(model(part)) for part in points.split(_POINTS)])


def has_batch_statistics(module: nn.Module) -> bool:
    """Whether an example's output depends on the examples beside it, as with batch normalisation."""
    return any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in module.modules())


def _make_optimizer(weights: Sequence[Tensor], recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser; its updates are elementwise, so a stack may share it."""
    if recipe.optimizer == "adamw":
        betas = (recipe.momentum, 0.999)
        return torch.optim.AdamW(
            weights, recipe.rate, betas=betas, weight_decay=recipe.weight_decay
        )
    return torch.optim.SGD(
        weights, recipe.rate, momentum=recipe.momentum, weight_decay=recipe.weight_decay
    )


def _take_step(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """A step of the optimiser at a learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = float(rate)
    optimizer.step()


def logits_of(output: Any) -> Tensor:
    """The logits of a module's answer: itself, or what Hugging Face models call ``logits``."""
    return output if isinstance(output, Tensor) else output.logits


def _forward(module: nn.Module) -> Any:
    def one(weights: dict[str, Tensor], x: Tensor) -> Tensor:
        return logits_of(functional_call(module, weights, (x,)))

    return vmap(one, in_dims=(0, None))


def _clip(weights: list[Tensor], most: float) -> None:
    """Scale each model's gradient down to a norm of ``most``, as ``torch.nn.utils.clip_grad_norm_``."""
    gradients = [w.grad for w in weights if w.grad is not None]
    norm = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
    scale = (most / (norm + 1e-6)).clamp(max=1.0)
    for g in gradients:
        g.mul_(scale.view(-1, *[1] * (g.ndim - 1)))
