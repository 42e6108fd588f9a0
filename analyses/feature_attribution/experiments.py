"""Experiments that test an explanation on the model itself, by removing and inserting parts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float64

from spex_mech.core.errors import InputError
from spex_mech.core.estimates import Estimate, bootstrap_mean
from spex_mech.core.games import ValueFunction
from spex_mech.core.interactions import interactions
from spex_mech.core.spectrum import Spectrum
from spex_mech.features.game import FeatureGame
from spex_mech.pruning.prune import prune

MAX_MEMBERS = 8


@dataclass(frozen=True, eq=False)
class Curves:
    """How a game's value changes as parts are removed, or inserted, in an order of importance.

    Attributes:
        order: the players, most helpful first.
        sizes: int (k,), numbers of players deleted or inserted.
        deleted: float64 (k,), value when the first ``sizes`` players are removed from the whole.
        inserted: float64 (k,), value when only the first ``sizes`` players are present.
        random_deleted: mean and interval over random orders, one per size.
        random_inserted: the same for insertion.
    """

    order: tuple[int, ...]
    sizes: npt.NDArray[np.int64]
    deleted: Float64[np.ndarray, " k"]
    inserted: Float64[np.ndarray, " k"]
    random_deleted: tuple[Estimate, ...]
    random_inserted: tuple[Estimate, ...]


def insert_delete(
    game: ValueFunction,
    order: Sequence[int] | Spectrum,
    *,
    sizes: Sequence[int] | None = None,
    orders: int = 20,
    seed: int = 0,
) -> Curves:
    """Delete and insert players in an order of importance, beside random orders.

    Args:
        game: the game.
        order: all players, most helpful first; of a spectrum the order of its Banzhaf values.
        sizes: numbers of players to delete or insert; by default 0, n and up to 31 numbers between.
        orders: random orders to compare with; intervals are over these.
        seed: seed of the random orders and intervals.

    Raises:
        InputError: an order that is not one of all players, sizes out of range, or fewer than two orders.
    """
    n = game.players.n
    ranked = _ranked(order, n)
    if orders < 2:
        raise InputError(f"orders is {orders}, expected at least 2 random orders")
    steps = np.unique(
        np.linspace(0, n, min(n + 1, 33)).round() if sizes is None else np.asarray(sizes)
    ).astype(np.int64)
    if not len(steps) or steps[0] < 0 or steps[-1] > n:
        raise InputError(f"sizes are {steps.tolist()}, expected numbers from 0 to {n}")
    rng = np.random.default_rng(seed)
    all_orders = [np.array(ranked), *(rng.permutation(n) for _ in range(orders))]
    inserted = np.concatenate([_firsts(one, steps) for one in all_orders])
    values = game(np.concatenate([~inserted, inserted])).reshape(2, len(all_orders), len(steps))
    random = [
        tuple(bootstrap_mean(values[which, 1:, k], seed=seed) for k in range(len(steps)))
        for which in (0, 1)
    ]
    return Curves(tuple(ranked), steps, values[0, 0], values[1, 0], random[0], random[1])


@dataclass(frozen=True)
class Subtraction:
    """The cost of removing k players.

    Attributes:
        k: how many are removed.
        top: the players that the spectrum would remove.
        drop: how much the value falls without them: f(all) − f(all but these).
        random: the same for random sets of k, with its interval.
        predicted: the fall that the spectrum expects.
    """

    k: int
    top: tuple[int, ...]
    drop: float
    random: Estimate
    predicted: float


def subtract_top(
    game: ValueFunction,
    spectrum: Spectrum,
    ks: Sequence[int] = (1, 2, 4, 8),
    *,
    draws: int = 20,
    seed: int = 0,
) -> list[Subtraction]:
    """Remove the k players without which the spectrum expects least, and measure what they cost.

    The k are chosen together, by the spectrum with all its interactions: keeping n − k players is a pruning
    problem, of minus the value.

    Args:
        game: the game.
        spectrum: what was decoded from it.
        ks: how many to remove.
        draws: random sets of k to compare with.
        seed: seed of the random sets and intervals.

    Raises:
        InputError: a k out of range, or fewer than two draws.
    """
    n, full = game.players.n, np.ones((1, game.players.n), dtype=bool)
    if draws < 2 or any(not 0 < k <= n for k in ks):
        raise InputError(
            f"ks are {list(ks)} and draws {draws}, expected 1 to {n}, and at least 2 draws"
        )
    rng = np.random.default_rng(seed)
    lowest = Spectrum(spectrum.words, -spectrum.coefficients, n)
    out = []
    for k in ks:
        if k == n:
            kept = ~full[0]
        else:
            kept = prune(lambda x: -game(x), lowest, keep=n - k, validate=0, seed=seed).mask
        random = np.ones((draws, n), dtype=bool)
        for row in random:
            row[rng.choice(n, k, replace=False)] = False
        values = game(np.concatenate([full, kept[None], random]))
        expected = spectrum(np.stack([full[0], kept]))
        out.append(
            Subtraction(
                k,
                tuple(np.flatnonzero(~kept).tolist()),
                float(values[0] - values[1]),
                bootstrap_mean(values[0] - values[2:], seed=seed),
                float(expected[0] - expected[1]),
            )
        )
    return out


@dataclass(frozen=True)
class Outcome:
    """The effect of removing some members of an interaction while everything else is present.

    Attributes:
        removed: positions of the removed members; empty for the whole input.
        value: mean value with its interval over inputs and draws.
        changed: share of inputs and draws in which the answer is no longer that of the whole input, with its
            interval.
    """

    removed: tuple[int, ...]
    value: Estimate
    changed: Estimate


def remove_members(
    games: FeatureGame | Sequence[FeatureGame],
    members: Sequence[int] | Sequence[Sequence[int]],
    *,
    draws: int = 1,
    answer: Callable[[Float64[np.ndarray, " m"]], npt.ArrayLike] = np.sign,
    seed: int = 0,
) -> list[Outcome]:
    """Remove the members of an interaction one at a time, in every combination, and together.

    The trolley experiment of the SPEX paper: an interaction is real if the answer changes only when
    all of its members are removed.

    Args:
        games: a game, or several of the same kind, with an interaction each.
        members: the players of the interaction, or a tuple for each game (all of one size); member i of
            one stands for member i of the others.
        draws: replacements to draw, by as many seeds, where parts have several.
        answer: from values to answers; by default their sign, the answer of a margin or of log-odds.
        seed: seed of the first draw and of the intervals.

    Returns:
        An outcome for each subset of the members, smallest first; the intervals are over games and
        draws, of which there must be at least two for a proper one.

    Raises:
        InputError: members that do not exist or differ in number, more than 8 of them, or several draws
            of a game that draws nothing.
    """
    each = [games] if isinstance(games, FeatureGame) else list(games)
    sets = _members(each, members)
    if draws < 1 or (draws > 1 and not any((g.source.counts > 1).any() for g in each)):
        raise InputError(
            f"draws is {draws}, but the games draw nothing: no part has several replacements; leave draws out"
        )
    subsets = [s for k in range(len(sets[0]) + 1) for s in combinations(range(len(sets[0])), k)]
    values = np.stack(
        [
            _without(game.with_seed(seed + d) if draws > 1 else game, names, subsets)
            for game, names in zip(each, sets, strict=True)
            for d in range(draws)
        ]
    )
    answers = np.asarray(answer(values.reshape(-1))).reshape(values.shape)
    changed = (answers != answers[:, :1]).astype(np.float64)
    one = sets[0] if len(each) == 1 else tuple(range(len(sets[0])))
    return [
        Outcome(
            tuple(one[i] for i in subset),
            _estimate(values[:, k], seed),
            _estimate(changed[:, k], seed),
        )
        for k, subset in enumerate(subsets)
    ]


def _ranked(order: Sequence[int] | Spectrum, n: int) -> list[int]:
    if isinstance(order, Spectrum):
        values = interactions(order, "Banzhaf", 1).values
        return sorted(range(n), key=lambda i: -values.get((i,), 0.0))
    ranked = [int(i) for i in order]
    if sorted(ranked) != list(range(n)):
        raise InputError(f"the order has {len(ranked)} players, expected each of {n} once")
    return ranked


def _firsts(order: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> Bool[np.ndarray, "k n"]:
    masks = np.zeros((len(sizes), len(order)), dtype=bool)
    for mask, size in zip(masks, sizes, strict=True):
        mask[order[:size]] = True
    return masks


def _members(games: Sequence[FeatureGame], members: Sequence) -> list[tuple[int, ...]]:
    single = members and isinstance(members[0], (int, np.integer))
    sets = [tuple(int(i) for i in one) for one in ([members] if single else members)]
    if len(sets) != len(games) or len({len(one) for one in sets}) != 1:
        raise InputError(
            f"there are {len(games)} games and members {members!r}; give one set of one size for each game"
        )
    for game, one in zip(games, sets, strict=True):
        n = game.players.n
        if not 1 <= len(one) <= MAX_MEMBERS or len(set(one)) < len(one):
            raise InputError(f"members {one} are not 1 to {MAX_MEMBERS} different players")
        if not all(0 <= i < n for i in one):
            raise InputError(f"members {one} are not players from 0 to {n - 1}")
    return sets


def _without(
    game: FeatureGame, members: tuple[int, ...], subsets: Sequence[tuple[int, ...]]
) -> Float64[np.ndarray, " s"]:
    masks = np.ones((len(subsets), game.players.n), dtype=bool)
    for mask, subset in zip(masks, subsets, strict=True):
        mask[[members[i] for i in subset]] = False
    return game(masks)


def _estimate(values: Float64[np.ndarray, " e"], seed: int) -> Estimate:
    if len(values) < 2:  # nothing to draw again: the interval is the value
        value = float(values[0])
        return Estimate(value, value, value, 1, 0.95)
    return bootstrap_mean(values, seed=seed)
