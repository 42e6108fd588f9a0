"""Optimal ablation: the constants that lose least (Li and Janson 2024, arXiv 2409.09951).

A removed part is replaced by a constant, the same for all tokens and questions: of all constants, those at
which the ablated model's expected loss is lowest. All parts' constants are fitted together by gradient
descent through the model, from the means on, under random masks, or under the mask of one kept set for a
claim about that set. With few search questions constants also fit what is particular to these questions.

The loss is that of the answers: the Kullback-Leibler divergence, in nats, of the ablated model's distribution
over a question's answers from the full model's; of prompts without answers minus their log-probability. Only
search questions are read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Int64

from spex_mech.ablation.constant_loss import AblationLoss, Values, chunks, full_scores
from spex_mech.ablation.constants import Constants, FittedBy, hash_of
from spex_mech.ablation.fills import bridge_recorder, token_moments
from spex_mech.ablation.gates import spread
from spex_mech.ablation.reference import closed
from spex_mech.core.errors import InputError
from spex_mech.core.masks import check_masks
from spex_mech.core.players import PlayerSet
from spex_mech.models.bridge import bridge_errors
from spex_mech.models.model import Model
from spex_mech.tasks.prompts import Prompts, encode

if TYPE_CHECKING:
    from spex_mech.ablation.game import TaskGame

STEPS, PAIRS = 200, 16
"""Steps of gradient descent, and pairs of a mask and a question in each."""

_RATE = 0.1  # of a step at first, in standard deviations of what a part writes; it falls to 0
_CHECKED = 256  # pairs at least that the candidates are compared on


def fit_constants(
    game: TaskGame,
    kept: npt.ArrayLike | None = None,
    *,
    keep_rates: tuple[float, float] = (0.0, 1.0),
    steps: int = STEPS,
    seed: int | None = None,
) -> Constants:
    """Fit the constants of optimal ablation on the search questions of a game's task.

    Gradient descent (Adam) starts from the means over all tokens. Of what it finds, the means and zero, the
    one with the lowest mean loss is taken; it is measured on every search question, and on at least 256
    pairs of a mask and a question. The same game and seed give the same constants on the same machine.

    Args:
        game: the game; its split, metric and ablation do not matter.
        kept: bool (n,) or (m, n), True = present: fit for these kept sets alone, as a final claim about one
            needs; parts that none of them removes keep their means. None for random masks.
        keep_rates: without ``kept``: lowest and highest rate at which players are kept; every mask draws its
            own, evenly.
        steps: steps of gradient descent, each of 16 pairs of a mask and a question.
        seed: seed of masks and questions; by default the game's.

    Returns:
        The constants, for ``TaskGame(..., ablation="optimal", constants=...)``.

    Raises:
        InputError: masks of other players or that remove nothing, rates outside 0 to 1, a negative number of
            steps, a task without search questions, or a loss that is not finite.
    """
    masks = None if kept is None else check_masks(kept, game.players.n)
    low, high = keep_rates
    if not 0 <= low <= high <= 1 or steps < 0:
        raise InputError(
            f"keep_rates is {keep_rates} and steps {steps}; expected two rates from 0 to 1, the lower one "
            "first, and 0 steps or more"
        )
    if masks is not None and masks.all(axis=1).any():
        raise InputError("a kept set keeps everything, so no constant changes it; leave it out")
    seed = game.seed if seed is None else seed
    of = fit_hash(game, kept, keep_rates=keep_rates, steps=steps, seed=seed)
    model, players, prompts = game.model, game.players, _search_prompts(game)
    rng = np.random.default_rng(seed)

    def drawn(count: int) -> Bool[np.ndarray, "p n"]:
        if masks is not None:
            return masks[rng.integers(len(masks), size=count)]
        return rng.random((count, players.n)) < rng.uniform(low, high, (count, 1))

    with bridge_errors(model.hf, model.name):
        start, scale = _start(model, prompts, players)
        every = np.arange(len(prompts.ids))
        fit = AblationLoss(model, prompts, players, full_scores(model, prompts, players, every))
        found = _descend(fit, start, scale, drawn, steps, rng)
        candidates = {"fitted": found, "mean": start, "zero": {k: v * 0 for k, v in start.items()}}
        questions = np.tile(every, -(-_CHECKED // len(every)) if masks is None else 1)
        checked = drawn(len(questions))
        losses = {
            name: _mean_loss(fit, values, checked, questions) for name, values in candidates.items()
        }
    best = min(losses, key=lambda name: losses[name])
    rows = fit_cost(len(every), steps, masks is not None)
    values = {site: x.cpu().numpy().astype(np.float32) for site, x in candidates[best].items()}
    return Constants(values, FittedBy(of, best, losses, steps, rows))


def fit_hash(
    game: TaskGame,
    kept: npt.ArrayLike | None = None,
    *,
    keep_rates: tuple[float, float] = (0.0, 1.0),
    steps: int = STEPS,
    seed: int | None = None,
) -> str:
    """What `fit_constants` would write as ``of``: equal for equal fits; nothing is fitted."""
    masks = None if kept is None else check_masks(kept, game.players.n).astype(int).tolist()
    prompts = _search_prompts(game)
    asked = [
        x if x is None else x.tolist() for x in (prompts.answers, prompts.targets, prompts.options)
    ]
    seed = game.seed if seed is None else seed
    settings = [list(map(float, keep_rates)), steps, PAIRS, seed]
    names = list(game.players.names)
    return hash_of(game.model.fingerprint, names, prompts.tokens, asked, settings, masks)


def seconds_per_answer(game: TaskGame) -> float:
    """Seconds of an answer in a fit, a backward pass counted as two, from one step after a first one."""
    model, prompts = game.model, _search_prompts(game)
    first = prompts.at(np.arange(1)) if prompts.options is None else prompts
    with bridge_errors(model.hf, model.name):
        start, scale = _start(model, first, game.players)
        fit = AblationLoss(model, prompts, game.players, None)
        rng = np.random.default_rng(0)

        def step() -> None:
            _descend(fit, start, scale, lambda k: rng.random((k, game.players.n)) < 0.5, 1, rng)

        step()
        began = time.monotonic()
        step()
    return (time.monotonic() - began) / (3 * PAIRS)


def fit_cost(questions: int, steps: int = STEPS, for_set: bool = False) -> int:
    """Answers that a fit costs: a step's pairs three times, since a backward pass is counted as two.

    The means and the full model's answers cost each question twice, and the comparison of the three
    candidates at least 256 pairs each, or each question once where it is for kept sets.
    """
    checked = questions * (1 if for_set else -(-_CHECKED // questions))
    return 2 * questions + 3 * steps * PAIRS + 3 * checked


def _search_prompts(game: TaskGame) -> Prompts:
    """The search questions, whatever the game's split is."""
    if game.split == "search":
        return game.prompts
    return encode(game.task, "search", game.model.tokenizer, game.model.context)


def _start(
    model: Model, prompts: Prompts, players: PlayerSet
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Means over all tokens where something can be removed, and the standard deviation of each site."""
    none = np.zeros((1, players.n), dtype=bool)
    sites = [site for site, _ in closed(spread(players, model.shape, none))]
    mean, square = token_moments(bridge_recorder(model.bridge), prompts, sites)
    start = {site: x.float() for site, x in mean.items()}
    scale = {
        site: (square[site] - mean[site] ** 2).clamp_min(0).mean().sqrt().float() for site in sites
    }
    return start, scale


def _descend(
    fit: AblationLoss,
    start: Values,
    scale: Values,
    drawn: Callable[[int], Bool[np.ndarray, "p n"]],
    steps: int,
    rng: np.random.Generator,
) -> dict[str, torch.Tensor]:
    """Adam from the means on; a step is measured in what varies at its site."""
    moved = {site: torch.zeros_like(x, requires_grad=True) for site, x in start.items()}
    optimizer = torch.optim.Adam(moved.values(), lr=_RATE)
    order = _shuffled(len(fit.prompts.ids), rng)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = _RATE * (1 - step / steps)
        optimizer.zero_grad()
        masks, questions = drawn(PAIRS), np.array([next(order) for _ in range(PAIRS)])
        total = 0.0
        with torch.enable_grad():
            for some in chunks(fit.prompts, questions, fit.model):
                values = {site: start[site] + scale[site] * x for site, x in moved.items()}
                loss = fit.losses(values, masks[some], questions[some]).sum() / PAIRS
                gradients = torch.autograd.grad(loss, [*moved.values()], allow_unused=True)
                for x, gradient in zip(moved.values(), gradients, strict=True):
                    if gradient is not None:
                        x.grad = gradient if x.grad is None else x.grad + gradient
                total += float(loss.detach())
        if not np.isfinite(total):
            raise InputError(
                f"the loss of optimal ablation is {total} after {step} steps; load the model in float32, or "
                "use mean ablation"
            )
        optimizer.step()
    return {site: (start[site] + scale[site] * x).detach() for site, x in moved.items()}


def _shuffled(count: int, rng: np.random.Generator) -> Iterator[int]:
    """All questions in a random order, then in another one, for ever: every question as often as others."""
    while True:
        yield from rng.permutation(count)


@torch.no_grad()
def _mean_loss(
    fit: AblationLoss,
    values: Values,
    masks: Bool[np.ndarray, "p n"],
    questions: Int64[np.ndarray, " p"],
) -> float:
    total = sum(
        float(fit.losses(values, masks[some], questions[some]).double().sum())
        for some in chunks(fit.prompts, questions, fit.model)
    )
    return total / len(questions)
