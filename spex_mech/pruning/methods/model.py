"""Methods that look inside the model: gradients by gates, attention entropy, output norm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from spex_mech.ablation import gate_gradients, head_statistics
from spex_mech.ablation.game import TaskGame
from spex_mech.core.errors import InputError
from spex_mech.core.players import PlayerSet
from spex_mech.pruning.curve import prune_curve
from spex_mech.pruning.methods import Method, Problem, Rankings, keep_top
from spex_mech.pruning.proposals import additive
from spex_mech.pruning.prune import Pruned


def _taylor(problem: Problem) -> Float64[np.ndarray, " n"]:
    game = _paid(problem, gate_gradients.COST)
    importance = np.abs(gate_gradients.gate_gradients(game)).mean(axis=0)
    return importance / _layer_norms(problem.game.players, importance)


def _attribution(problem: Problem) -> Float64[np.ndarray, " n"]:
    game = _paid(problem, gate_gradients.COST)
    return gate_gradients.gate_gradients(game).mean(axis=0)


def _integrated(problem: Problem) -> Float64[np.ndarray, " n"]:
    game = _paid(problem, gate_gradients.STEPS * gate_gradients.COST)
    return gate_gradients.integrated_gradients(game).mean(axis=0)


LEVELS = (0.5, 0.7, 0.9)
"""Values of all gates at which gradients are taken for proposals, by default."""

GRADIENTS_COST = gate_gradients.COST * len(LEVELS)
"""Ablations that these gradients are worth."""


def gradient_search(levels: Sequence[float] = LEVELS) -> Method:
    """Gradients propose kept sets, and ablations decide among them and improve the best.

    The gradients of each example's metric by the gates are taken where all gates have one value, as on the
    path of integrated gradients. Between the full model, whose gradient misses how removals add up, and the
    empty one, they rank the players best where removed parts get the activations of another prompt. The
    players' mean gradients of every level are a ranking, and so is their mean over the levels, which is
    also the surrogate of the search, `prune_curve`. Each level is worth 4 ablations.

    Args:
        levels: values of all gates, above 0 and at most 1; 1 is the full model.

    Raises:
        InputError: no levels.
    """
    rankings = by_gradients(levels)
    return lambda problem: search_from(problem, rankings(problem))


def by_gradients(levels: Sequence[float] = LEVELS) -> Rankings:
    """`gradient_rankings` that are counted in a problem's budget, each level as 4 ablations.

    Args:
        levels: values of all gates; see `gradient_search`.

    Raises:
        InputError: no levels.
    """
    if not levels:
        raise InputError("levels is empty; give values of the gates, such as (0.5, 0.7, 0.9)")

    def rankings(problem: Problem) -> Float64[np.ndarray, "r n"]:
        return gradient_rankings(_paid(problem, gate_gradients.COST * len(levels)), levels)

    return rankings


def gradient_rankings(
    game: TaskGame, levels: Sequence[float] = LEVELS
) -> Float64[np.ndarray, "r n"]:
    """Rankings of the players by the examples' mean gradients: of all levels together, then of each level.

    Args:
        game: the game.
        levels: values of all gates; see `gradient_search`.

    Returns:
        Float64 (levels + 1, n), higher = kept longer.
    """
    lines = [gate_gradients.gate_gradients(game, at=at).mean(axis=0) for at in levels]
    return np.stack([np.mean(lines, axis=0), *lines])


def search_from(problem: Problem, rankings: Float64[np.ndarray, "r n"]) -> list[Pruned]:
    """Kept sets by `prune_curve` with the first ranking as its surrogate, and what all of them propose.

    Args:
        problem: the sizes, and the ablations that are left.
        rankings: scores of the players (r, n), higher = kept longer.
    """
    curve = prune_curve(
        problem.game,
        additive(rankings[0]),
        keeps=problem.keeps,
        validate=problem.game.left,
        questions=problem.questions,
        rankings=rankings,
        seed=problem.seed,
    )
    return [curve.at(keep) for keep in problem.keeps]


def _entropy(problem: Problem) -> Float64[np.ndarray, " n"]:
    return -head_statistics.attention_entropy(_paid(problem, head_statistics.COST))


def _norm(problem: Problem) -> Float64[np.ndarray, " n"]:
    return head_statistics.output_norm(_paid(problem, head_statistics.COST))


taylor = keep_top(_taylor)
"""Mean |gradient × activation| of each example's metric, divided by the l2 norm over the player's layer, as
Michel, Levy and Neubig 2019 rank heads. Worth 4 ablations."""

attribution_patching = keep_top(_attribution)
"""Mean gradient × (activation − what replaces it), the first-order estimate of what removal costs.

This is attribution patching at nodes (AtP; Nanda 2023), and the signed Taylor importance where removed parts
become zero. Worth 4 ablations."""

integrated_gradients = keep_top(_integrated)
"""The integrated-gradients form of attribution patching (NAP-IG), see `gate_gradients.integrated_gradients`.

Worth 20 ablations: five gradients of 4."""

attention_entropy = keep_top(_entropy)
"""Heads that attend to few tokens are kept; see `head_statistics.attention_entropy`. Worth 1 ablation."""

output_norm = keep_top(_norm)
"""Heads with a large output are kept; see `head_statistics.output_norm`. Worth 1 ablation."""


def _paid(problem: Problem, cost: int) -> TaskGame:
    """The model game inside the problem's game, with the cost of the pass counted."""
    game = problem.game.innermost
    if not isinstance(game, TaskGame):
        raise InputError(
            "this ranking looks inside a model, which the game does not have; use a TaskGame, or "
            "leave the ranking out"
        )
    problem.game.spend(cost)
    return game


def _layer_norms(
    players: PlayerSet, importance: Float64[np.ndarray, " n"]
) -> Float64[np.ndarray, " n"]:
    """The l2 norm of the importances of each player's layer; 1 where they are all 0.

    They are all 1 where some layer has a single player, because its share of its layer says nothing.
    """
    norms = np.ones(players.n)
    if min(len(members) for members in players.groups.values()) == 1:
        return norms
    for members in players.groups.values():
        norms[list(members)] = np.linalg.norm(importance[list(members)]) or 1.0
    return norms
