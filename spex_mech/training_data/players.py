"""Players of a training set: examples, classes, groups or clusters; what belongs to none always stays."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Int64

from spex_mech.core.errors import InputError
from spex_mech.core.players import PlayerSet
from spex_mech.core.short_repr import short_repr
from spex_mech.training_data.examples import Examples


@short_repr
@dataclass(frozen=True, eq=False)
class Coalitions:
    """Which player owns each training example.

    Attributes:
        players: the ordered players.
        owner: int64 (N,), the player that each example belongs to; −1 for examples that are in every
            subset.

    Raises:
        InputError: an owner that is no player, or a player without examples.
    """

    players: PlayerSet
    owner: Int64[np.ndarray, " N"]

    def __post_init__(self) -> None:
        owner = np.asarray(self.owner, dtype=np.int64)
        if owner.ndim != 1 or owner.min(initial=0) < -1 or owner.max(initial=-1) >= self.players.n:
            raise InputError(
                f"owners run from {owner.min(initial=0)} to {owner.max(initial=-1)}, expected the "
                f"positions of {self.players.n} players, or -1 for an example that always stays"
            )
        idle = np.setdiff1d(np.arange(self.players.n), owner)
        if len(idle):
            raise InputError(
                f"player {self.players.names[idle[0]]!r} has no examples ({len(idle)} such players); "
                "leave it out"
            )
        object.__setattr__(self, "owner", owner)

    def subsets(self, masks: Bool[np.ndarray, "m n"]) -> Bool[np.ndarray, "m N"]:
        """The training examples that masks (m, n) keep, True = trained on."""
        always = np.ones((len(masks), 1), dtype=bool)
        return np.concatenate([masks, always], axis=1)[:, self.owner]

    @cached_property
    def members(self) -> tuple[Int64[np.ndarray, " k"], ...]:
        """The examples of each player."""
        return tuple(np.flatnonzero(self.owner == i) for i in range(self.players.n))

    def class_of(self, train: Examples) -> Int64[np.ndarray, " n"]:
        """The class of each player, the commonest among its examples; int64 (n,)."""
        counts = np.zeros((self.players.n, len(train.classes)), dtype=np.int64)
        owned = self.owner >= 0
        np.add.at(counts, (self.owner[owned], train.labels[owned]), 1)
        return counts.argmax(axis=1)


def by_example(
    train: Examples, rows: Sequence[int] | npt.NDArray[np.integer] | None = None
) -> Coalitions:
    """Each example as a player, called ``#17 cat`` for row 17 of class cat.

    Args:
        train: the training examples.
        rows: the examples that are players; the others are in every subset. None for all.

    Raises:
        InputError: rows that are not there or are named twice.
    """
    chosen = np.arange(len(train)) if rows is None else np.asarray(rows, dtype=np.int64)
    wrong = chosen[(chosen < 0) | (chosen >= len(train))]
    if len(wrong) or len(np.unique(chosen)) < len(chosen):
        raise InputError(
            f"rows {wrong[:3].tolist() or 'named twice'}: expected distinct positions from 0 to "
            f"{len(train) - 1}"
        )
    owner = np.full(len(train), -1)
    owner[chosen] = np.arange(len(chosen))
    names = [f"#{i} {train.classes[train.labels[i]]}" for i in chosen.tolist()]
    return Coalitions(PlayerSet.from_names(names), owner)


def by_class(train: Examples) -> Coalitions:
    """Each class that has examples as a player, called like the class."""
    return by_group(train, [train.classes[label] for label in train.labels])


def by_group(train: Examples, groups: Sequence[Hashable]) -> Coalitions:
    """Examples of equal ``groups`` are one player, called like the group, in order of appearance.

    Args:
        train: the training examples.
        groups: one for each example (a source, an author, a file); None for examples that always stay.

    Raises:
        InputError: another number of groups than of examples.
    """
    if len(groups) != len(train):
        raise InputError(
            f"{len(groups)} groups for {len(train)} examples; give one for each, None for those that "
            "always stay"
        )
    place = {g: i for i, g in enumerate(dict.fromkeys(g for g in groups if g is not None))}
    owner = np.array([-1 if g is None else place[g] for g in groups])
    return Coalitions(PlayerSet.from_names(str(g) for g in place), owner)


def by_cluster(
    train: Examples, clusters: int, *, seed: int, features: npt.ArrayLike | None = None
) -> Coalitions:
    """Clusters of similar examples as players (k-means within each class, so that no cluster mixes labels).

    Args:
        train: the training examples.
        clusters: number of players, shared among the classes by their sizes, at least one each.
        seed: seed of k-means.
        features: float (N, d) to cluster by; by default the inputs, flattened.

    Raises:
        InputError: fewer clusters than classes, more than examples, or features of another length.
    """
    from sklearn.cluster import KMeans

    flat = train.inputs if features is None else np.asarray(features)
    present, counts = np.unique(train.labels, return_counts=True)
    if len(flat) != len(train) or not len(present) <= clusters <= len(train):
        raise InputError(
            f"{clusters} clusters of {len(train)} examples ({len(flat)} features) in {len(present)} "
            "classes; expected at least one cluster per class and at most one per example"
        )
    flat = flat.reshape(len(train), -1).astype(np.float64)
    share = np.ones(len(present), dtype=np.int64)
    for _ in range(clusters - len(present)):  # the next cluster goes where they are largest
        share[np.where(share < counts, counts / share, 0.0).argmax()] += 1
    groups: list[str] = [""] * len(train)
    means: Any = KMeans
    for label, k in zip(present.tolist(), share.tolist(), strict=True):
        rows = np.flatnonzero(train.labels == label)
        assigned = means(k, n_init=4, random_state=seed).fit_predict(flat[rows])
        # k-means may leave a cluster empty where examples are equal
        for row, cluster in zip(rows.tolist(), assigned.tolist(), strict=True):
            groups[row] = f"{train.classes[label]} {cluster}"
    return by_group(train, groups)
