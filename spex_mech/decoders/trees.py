r"""The exact Fourier spectrum of an ensemble of decision trees on binary players.

A node that tests player i has a child for i absent, with spectrum A, and one for i present, with
spectrum P. As (-1)^{x_i} is +1 for the first and -1 for the second, the node's own spectrum is

    F(S) = (A(S) + P(S)) / 2  +  (A(S \ i) - P(S \ i)) / 2

(the recursion behind ProxySPEX, arXiv 2505.17495, section 4). It holds whatever masks the trees were
grown on. All trees are walked at once, from their deepest leaves to their roots, and equal supports of
a node are added up on the way: a full tree of depth d costs d 2^d terms instead of 4^d.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float64, Int64

from spex_mech.core.errors import InputError
from spex_mech.core.packed import bit, combine, word_count
from spex_mech.core.spectrum import Spectrum

if TYPE_CHECKING:
    import xgboost

_ROOT = np.iinfo(np.int32).max  # stands for the parent of a root


@dataclass(frozen=True)
class Forest:
    """Binary trees, with one numbering for the nodes of all trees.

    Attributes:
        base: constant that is added to every prediction.
        parents: int64 (k,), -1 for a root.
        is_leaf: bool (k,).
        values: float64 (k,), what a leaf adds to the prediction.
        players: int64 (k,), the player that an inner node tests.
        present: bool (k,), whether the node is reached when its parent's player is present.
    """

    base: float
    parents: Int64[np.ndarray, " k"]
    is_leaf: Bool[np.ndarray, " k"]
    values: Float64[np.ndarray, " k"]
    players: Int64[np.ndarray, " k"]
    present: Bool[np.ndarray, " k"]


def tree_spectrum(booster: xgboost.Booster, n: int) -> Spectrum:
    """Exact spectrum of an XGBoost regression ensemble: equal to its predictions on every mask.

    Args:
        booster: a tree booster with an identity link, trained on 0/1 features, 1 = present.
        n: number of players (features).

    Raises:
        InputError: not a booster of trees, or one with splits that are not between 0 and 1.
    """
    return forest_spectrum(read_forest(booster), n)


def read_forest(booster: xgboost.Booster) -> Forest:
    """Read the trees of an XGBoost model (see `tree_spectrum`) from its JSON format.

    The format: https://xgboost.readthedocs.io/en/stable/tutorials/saving_model.html.
    """
    learner = json.loads(booster.save_raw("json"))["learner"]
    name = learner["gradient_booster"]["name"]
    if name != "gbtree":
        raise InputError(f"booster {name!r} is not a plain tree ensemble; use booster='gbtree'")
    trees = learner["gradient_booster"]["model"]["trees"]

    def column(key: str, dtype: type) -> np.ndarray:
        """An attribute of all nodes of all trees."""
        return np.concatenate([np.asarray(tree[key], dtype) for tree in trees])

    sizes = np.array([len(tree["parents"]) for tree in trees])
    shift = np.repeat(np.cumsum(sizes) - sizes, sizes)
    parents, left = column("parents", np.int64), column("left_children", np.int64)
    right = column("right_children", np.int64)
    conditions = column("split_conditions", np.float32)  # as XGBoost keeps them
    is_leaf = left < 0
    present = np.zeros(len(is_leaf), dtype=bool)
    present[(right + shift)[~is_leaf]] = True
    # A condition is the threshold of an inner node, and the value of a leaf.
    if np.any((conditions <= 0) | (conditions > 1), where=~is_leaf):
        raise InputError("a tree splits outside of 0..1; train on 0/1 features, 1 = present")
    return Forest(
        base=float(learner["learner_model_param"]["base_score"].strip("[]")),
        parents=np.where(parents == _ROOT, -1, parents + shift),
        is_leaf=is_leaf,
        values=np.where(is_leaf, conditions, 0.0).astype(np.float64),
        players=column("split_indices", np.int64),
        present=present,
    )


def forest_spectrum(forest: Forest, n: int) -> Spectrum:
    """Exact spectrum of the sum of all trees of a forest on ``n`` players."""
    levels = _levels(forest.parents)
    # A term is a row (node, support); the terms of a level are those of its leaves and of its children.
    terms = np.zeros((0, 1 + word_count(n)), dtype=np.uint64)
    weights = np.zeros(0)
    for level in reversed(levels):
        leaves = level[forest.is_leaf[level]]
        rows = np.zeros((len(leaves), terms.shape[1]), dtype=np.uint64)
        rows[:, 0] = leaves
        terms = np.concatenate([terms, rows])
        weights = np.concatenate([weights, forest.values[leaves]])
        if level is not levels[0]:
            terms, weights = _lift(terms, weights, forest)
    constant = np.zeros((1, word_count(n)), dtype=np.uint64)
    words = np.concatenate([constant, terms[:, 1:]])
    return Spectrum.from_words(words, np.concatenate([[forest.base], weights]), n)


def _levels(parents: Int64[np.ndarray, " k"]) -> list[Int64[np.ndarray, " j"]]:
    """Nodes by depth, roots first."""
    depth = np.zeros(len(parents), dtype=np.int64)
    above = parents
    while (inside := above >= 0).any():
        depth += inside
        above = np.where(inside, parents[above], -1)
    order = np.argsort(depth, kind="stable")
    return np.split(order, np.cumsum(np.bincount(depth))[:-1])


def _lift(terms: np.ndarray, weights: np.ndarray, forest: Forest) -> tuple[np.ndarray, np.ndarray]:
    """Move the terms of sibling nodes up to their parents."""
    node = terms[:, 0].astype(np.int64)
    parent = forest.parents[node]
    player = forest.players[parent]
    terms = terms.copy()
    terms[:, 0] = parent
    other = terms.copy()
    # Supports are added by XOR, so that a player tested twice cancels as (-1)^{2 x} does.
    other[np.arange(len(other)), 1 + player // 64] ^= bit(player)
    sign = np.where(forest.present[node], -0.5, 0.5)
    return combine(np.concatenate([terms, other]), np.concatenate([0.5 * weights, sign * weights]))
