"""First-order Taylor: how a task's metric changes with the gates of the full model's players.

A gate scales what a player writes: x = 1 is the full model, x = 0 the ablation. The derivative at 1 is
gradient times activation, summed over the tokens (Molchanov et al. 2017, equation 9; Michel, Levy and Neubig
2019, equation 2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float64

from spex_mech.ablation.fills import Fill, bridge_recorder
from spex_mech.ablation.full_model import batches, logits
from spex_mech.ablation.game import TaskGame
from spex_mech.ablation.scores import scores_of_logits
from spex_mech.ablation.sites import over_heads
from spex_mech.core.errors import InputError
from spex_mech.core.players import ModelShape, PlayerSet, units

COST = 4
"""Ablations that one call is worth: the full model's scores, then a forward and a backward pass.

A backward pass is counted as two forward passes, which is what its multiplications are.
"""

_STEP = 1e-5
_SMOOTH = {"accuracy": "margin", "accuracy_first": "margin", "kl": "logprob"}
_Sites = dict[str, np.ndarray]
"""Site -> player of each of its entries: (heads,) of a layer, or (1,) of a whole output; n for none."""


def gate_gradients(game: TaskGame, *, metric: str | None = None) -> Float64[np.ndarray, "e n"]:
    """Derivative of each example's metric by each player's gate, at the full model.

    Removing player i changes the value by about minus the column's mean. All kinds of players and of
    ablations are known: with fills the gate mixes, x a + (1 − x) fill; with rescaling every layer's
    gates are multiplied by H / Σ x, so that gates of 0 and 1 are exactly the game. A layer's gate
    scales the outputs of its attention and of its MLP.

    Args:
        game: the game.
        metric: which metric; by default the game's, but the margin in place of an accuracy and the
            log-probability in place of ``kl``, whose derivatives are zero.

    Raises:
        InputError: a metric that the task does not have, or that is flat.
    """
    name = _smooth(game.metric.name) if metric is None else metric
    weights = _metric_gradient(game, name)
    if not np.abs(weights).max() > 0:
        raise InputError(
            f"metric {name!r} has no slope at the full model; use 'margin' or 'logprob'"
        )
    sites = _sites(game.players, game.model.shape)
    record = bridge_recorder(game.model.bridge)
    filler = game.ablation.filler(record, game.prompts, list(sites))
    rows = np.zeros((len(game.prompts), game.players.n))
    for batch in batches(game):
        fill = filler.batch([int(r) for r in batch.rows], batch.ids.shape[1])
        with torch.enable_grad():
            gates = torch.ones(
                (len(batch.rows), game.players.n),
                dtype=torch.float64,
                device=batch.ids.device,
                requires_grad=True,
            )
            scale = game.ablation.rescale
            hooks = [
                (site, _hook(site, owner, gates, fill, scale)) for site, owner in sites.items()
            ]
            single = logits(game, batch, hooks)[None]
            scores = scores_of_logits(game.prompts, batch.rows, batch.ids, single)[0]
            slope = torch.from_numpy(weights[batch.rows]).to(scores)
            (gradient,) = torch.autograd.grad((scores * slope).sum(), gates)
        rows[batch.rows] = gradient.cpu().numpy()
    return _by_example(game, rows)


def _smooth(name: str) -> str:
    stem = name.removesuffix("_norm")
    return _SMOOTH.get(stem, stem) + name[len(stem) :]


def _metric_gradient(game: TaskGame, name: str) -> Float64[np.ndarray, "rows ..."]:
    """Derivative of each example's metric by the scores of its rows, by central differences."""
    scores = game.scores(np.ones((1, game.players.n), dtype=bool)).astype(np.float64)
    slopes = np.empty(scores.shape[1:])
    for column in np.ndindex(scores.shape[2:]):
        at = (slice(None), slice(None), *column)
        up, down = scores.copy(), scores.copy()
        up[at] += _STEP
        down[at] -= _STEP
        change = game.per_example(up, metric=name) - game.per_example(down, metric=name)
        slopes[at[1:]] = change[0] / (2 * _STEP)
    options = game.prompts.options
    if options is None:
        return slopes
    of_rows = np.zeros(len(game.prompts))
    exists = options >= 0
    of_rows[options[exists]] = slopes[exists]
    return of_rows


def _sites(players: PlayerSet, shape: ModelShape) -> _Sites:
    """Where the players' gates act."""
    sites: _Sites = {}
    for i, player in enumerate(players):
        for site, entry, entries in _places(player.kind, units(player, shape), shape):
            sites.setdefault(site, np.full(entries, players.n))[entry] = i
    return sites


def _places(
    kind: str, parts: list[tuple[int, int]], shape: ModelShape
) -> Iterator[tuple[str, int, int]]:
    if kind == "layer":
        yield f"blocks.{parts[0][0]}.hook_attn_out", 0, 1
        yield f"blocks.{parts[0][0]}.hook_mlp_out", 0, 1
        return
    for layer, head in parts:
        if head < 0:
            yield f"blocks.{layer}.hook_mlp_out", 0, 1
        else:
            yield f"blocks.{layer}.attn.hook_z", head, shape.n_heads


def _hook(
    site: str, owner: np.ndarray, gates: torch.Tensor, fill: Fill, rescale: bool
) -> Callable[..., torch.Tensor]:
    def hook_fn(activation: torch.Tensor, hook: object) -> torch.Tensor:
        every = torch.cat([gates, gates.new_ones(len(gates), 1)], dim=1)
        x = every[:, torch.from_numpy(owner).to(gates.device)]
        if rescale and site.endswith("hook_z"):
            x = x * (x.shape[1] / x.sum(dim=1, keepdim=True))
        x = over_heads(x, activation) if site.endswith("hook_z") else x[:, None, :]
        removed = torch.as_tensor(fill(site, activation)).to(activation)
        return removed + x.to(activation) * (activation - removed)

    return hook_fn


def _by_example(game: TaskGame, rows: Float64[np.ndarray, "r n"]) -> Float64[np.ndarray, "e n"]:
    """Sums over the rows of each example."""
    options = game.prompts.options
    if options is None:
        return rows
    return np.where((options >= 0)[..., None], rows[options], 0.0).sum(axis=1)
