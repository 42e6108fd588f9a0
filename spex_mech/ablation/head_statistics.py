"""What single heads do on a task, read off one pass of the full model: attention entropy and output norm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from spex_mech.ablation.full_model import PaddedPrompts, batches, logits
from spex_mech.ablation.game import TaskGame
from spex_mech.ablation.sites import by_heads
from spex_mech.core.errors import InputError
from spex_mech.core.players import PlayerSet, units

COST = 1
"""Ablations that one call is worth: a forward pass."""

_Sums = dict[int, torch.Tensor]


def attention_entropy(game: TaskGame) -> Float64[np.ndarray, " n"]:
    """Mean entropy of each player's attention, in nats, over all tokens of all prompts.

    −Σ_j a_tj ln a_tj of each token t's attention a_t, padding left out; a key/value group's is the mean
    of its heads. Low entropy is attention to few tokens.

    Raises:
        InputError: players that are neither heads nor key/value groups.
    """

    def entropy(layer: int, pattern: torch.Tensor) -> torch.Tensor:
        p = pattern.double()
        return -torch.special.xlogy(p, p).sum(dim=-1).transpose(1, 2)  # (b, t, heads)

    return _of_heads(game, "hook_pattern", entropy, "attention entropy")


def output_norm(game: TaskGame) -> Float64[np.ndarray, " n"]:
    """Mean length of what each player writes to the residual stream, over all tokens of all prompts.

    The Euclidean norm of z_h W_O^h for a head; a key/value group's is the mean of its heads.

    Raises:
        InputError: players that are neither heads nor key/value groups.
    """
    heads = game.model.shape.n_heads

    def norm(layer: int, z: torch.Tensor) -> torch.Tensor:
        projection = game.model.bridge.blocks[layer].attn.o.original_component
        weight = by_heads(projection, projection.weight.detach(), heads).double()
        gram = torch.einsum("mhd,mhe->hde", weight, weight)
        z = z.double().flatten(2).unflatten(2, (heads, -1))
        square = torch.einsum("bthd,hde,bthe->bth", z, gram, z)
        return square.clamp_min(0.0).sqrt()

    return _of_heads(game, "hook_z", norm, "output norm")


def _of_heads(
    game: TaskGame, point: str, measure: Callable[[int, torch.Tensor], torch.Tensor], name: str
) -> Float64[np.ndarray, " n"]:
    """Mean of a measure (layer, activation) -> (b, t, heads) over all tokens, for each player."""
    layers = _layers(game.players, name)
    sums: _Sums = {}
    with torch.inference_mode():
        for batch in batches(game):
            hooks = [
                (f"blocks.{layer}.attn.{point}", _adder(layer, batch, measure, sums))
                for layer in layers
            ]
            logits(game, batch, hooks)
    unseen = [layer for layer in layers if layer not in sums]
    if unseen:
        raise InputError(
            f"{name} of {game.model.name!r} ({type(game.model.hf).__name__}) is not known: TransformerLens "
            f"does not show it in layer {unseen[0]}; leave this baseline out"
        )
    tokens = sum(len(t) for t in game.prompts.tokens)
    means = {layer: (total / tokens).cpu().numpy() for layer, total in sums.items()}
    shape = game.model.shape
    return np.array(
        [np.mean([means[layer][h] for layer, h in units(p, shape)]) for p in game.players]
    )


def _layers(players: PlayerSet, name: str) -> list[int]:
    odd = [p.name for p in players if p.kind not in ("head", "kv")]
    if odd:
        raise InputError(
            f"{name} ranks heads and key/value groups, not {odd[0]}; leave this baseline out"
        )
    return sorted({p.layer for p in players if p.layer is not None})


def _adder(
    layer: int,
    batch: PaddedPrompts,
    measure: Callable[[int, torch.Tensor], torch.Tensor],
    sums: _Sums,
) -> Callable[..., None]:
    def hook_fn(activation: torch.Tensor, hook: Any) -> None:
        values = measure(layer, activation)
        real = batch.real.to(values.device)
        sums[layer] = sums.get(layer, 0.0) + (values * real[..., None]).sum(dim=(0, 1))

    return hook_fn
