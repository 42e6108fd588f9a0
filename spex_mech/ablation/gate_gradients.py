"""Gradients of a task's metric by gates: first-order Taylor, attribution patching, integrated gradients.

A gate mixes what a player writes with what replaces it: x = 1 is the full model, x = 0 the ablation. The
derivative at 1 is gradient times activation where removed parts become zero (Molchanov et al. 2017, equation
9; Michel, Levy and Neubig 2019, equation 2), and gradient times the difference of two activations where they
become something else, which is attribution patching at nodes (Nanda 2023; Syed et al. 2023, arXiv
2310.10348). All are summed over the tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float64

from spex_mech.ablation.fills import Fill, Filler, bridge_recorder
from spex_mech.ablation.full_model import PaddedPrompts, batches, logits
from spex_mech.ablation.game import TaskGame
from spex_mech.ablation.scores import scores_of_logits
from spex_mech.ablation.sites import over_heads
from spex_mech.core.errors import InputError
from spex_mech.core.players import ModelShape, PlayerSet, units

COST = 4
"""Ablations that one gradient is worth: the scores at its gates, then a forward and a backward pass.

A backward pass is counted as two forward passes, which is what its multiplications are.
"""

STEPS = 5
"""Gradients along the path of `integrated_gradients`: as many as MIB takes (arXiv 2504.13151)."""

_STEP = 1e-5
_TOKENS = 512  # at once: a backward pass keeps the activations of all layers
_SMOOTH = {"accuracy": "margin", "accuracy_first": "margin", "kl": "logprob"}
_Sites = dict[str, np.ndarray]
"""Site -> player of each of its entries: (heads,) of a layer, or (1,) of a whole output; n for none."""


def gate_gradients(
    game: TaskGame, *, metric: str | None = None, at: float = 1.0
) -> Float64[np.ndarray, "e n"]:
    """Derivative of each example's metric by each player's gate, where all gates have one value.

    At the full model, removing player i changes the value by about minus the column's mean. All kinds of
    players and of ablations are known: with fills the gate mixes, x a + (1 − x) fill; with rescaling every
    layer's gates are multiplied by H / Σ x, so that gates of 0 and 1 are exactly the game. A layer's gate
    scales the outputs of its attention and of its MLP.

    Args:
        game: the game.
        metric: which metric; by default the game's, but the margin in place of an accuracy and the
            log-probability in place of ``kl``, whose derivatives are zero at the full model.
        at: value of all gates, above 0 and at most 1; 1 = the full model.

    Raises:
        InputError: a metric that the task does not have, or that is flat; or ``at`` out of range.
    """
    if not 0 < at <= 1:
        raise InputError(f"at is {at}, expected a value of the gates, above 0 and at most 1")
    name = _smooth(game.metric.name) if metric is None else metric
    sites = _sites(game.players, game.model.shape)
    filler = game.ablation.filler(bridge_recorder(game.model.bridge), game.prompts, list(sites))
    if at == 1:
        scores = game.scores(np.ones((1, game.players.n), dtype=bool))
    else:
        scores = _scores(game, sites, filler, at)
    weights = _metric_gradient(game, name, scores.astype(np.float64))
    if not np.abs(weights).max() > 0:
        where = "at the full model" if at == 1 else f"with all gates at {at:g}"
        raise InputError(f"metric {name!r} has no slope {where}; use 'margin' or 'logprob'")
    rows = np.zeros((len(game.prompts), game.players.n))
    for batch in batches(game, _TOKENS):
        with torch.enable_grad():
            gates = _gates(game, batch, at).requires_grad_()
            single = _gated(game, batch, sites, filler, gates)
            slope = torch.from_numpy(weights[batch.rows]).to(single)
            (gradient,) = torch.autograd.grad((single * slope).sum(), gates)
        rows[batch.rows] = gradient.cpu().numpy()
    return _by_example(game, rows)


def integrated_gradients(
    game: TaskGame, *, metric: str | None = None, steps: int = STEPS
) -> Float64[np.ndarray, "e n"]:
    """Integral of each example's derivative by each gate, while all gates go from 0 to 1 together.

    This is the integrated-gradients form of attribution patching (NAP-IG; Hanna et al. 2024, arXiv
    2403.17806, section 3), with a path from the ablated to the full activations of all players at once, by
    the midpoint rule. The sum over players is the value of the full model minus that of the empty one, up to
    the error of the rule (Sundararajan et al. 2017, proposition 1). It costs ``steps`` times `COST`.

    Args:
        game: the game.
        metric: see `gate_gradients`.
        steps: gradients along the path, 1 or more.

    Raises:
        InputError: as `gate_gradients`; fewer than one step; or a game that rescales kept heads, whose path
            is constant, because equal gates are multiplied back to 1.
    """
    if steps < 1:
        raise InputError(f"steps is {steps}, expected 1 or more gradients along the path")
    if game.ablation.rescale:
        raise InputError(
            "integrated gradients are not known with rescale=True, which multiplies equal gates back to "
            "1; make the game without it"
        )
    middles = (np.arange(steps) + 0.5) / steps
    return np.mean([gate_gradients(game, metric=metric, at=float(x)) for x in middles], axis=0)


def _gates(game: TaskGame, batch: PaddedPrompts, at: float) -> torch.Tensor:
    shape = (len(batch.rows), game.players.n)
    return torch.full(shape, at, dtype=torch.float64, device=batch.ids.device)


def _gated(
    game: TaskGame, batch: PaddedPrompts, sites: _Sites, filler: Filler, gates: torch.Tensor
) -> torch.Tensor:
    """Scores (b, ...) of a batch of prompts under gates (b, n)."""
    fill = filler.batch([int(r) for r in batch.rows], batch.ids.shape[1])
    scale = game.ablation.rescale
    hooks = [(site, _hook(site, owner, gates, fill, scale)) for site, owner in sites.items()]
    single = logits(game, batch, hooks)[None]
    return scores_of_logits(game.prompts, batch.rows, batch.ids, single)[0]


def _scores(
    game: TaskGame, sites: _Sites, filler: Filler, at: float
) -> Float64[np.ndarray, "1 e ..."]:
    """Scores of all examples with all gates at one value."""
    parts: dict[int, np.ndarray] = {}
    with torch.no_grad():
        for batch in batches(game):
            found = _gated(game, batch, sites, filler, _gates(game, batch, at))
            parts.update(zip(batch.rows.tolist(), found.double().cpu().numpy(), strict=True))
    return game.prompts.arrange(np.stack([parts[row] for row in range(len(game.prompts))])[None])


def _smooth(name: str) -> str:
    stem = name.removesuffix("_norm")
    return _SMOOTH.get(stem, stem) + name[len(stem) :]


def _metric_gradient(
    game: TaskGame, name: str, scores: Float64[np.ndarray, "1 e ..."]
) -> Float64[np.ndarray, "rows ..."]:
    """Derivative of each example's metric by the scores of its rows, by central differences."""
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
