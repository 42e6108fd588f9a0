"""The whole curve of value against size in one search, in which every size helps the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from jaxtyping import Bool

from spex_mech.core.errors import InputError
from spex_mech.core.limits import Limit
from spex_mech.core.spectrum import Spectrum
from spex_mech.pruning.moves import Budget, resized
from spex_mech.pruning.prune import (
    Pruned,
    check_ablations,
    check_players,
    descend,
    first_starts,
    found,
    programmed,
    size_of,
)
from spex_mech.pruning.search import Evaluated, Evidence, Game, carried, explore

_BETWEEN = 0.4  # of the ablations go to sizes between those asked for, on the way down
_UP = 0.3  # and so many to a second visit, from the smallest size to the largest
_TRY, _PATIENCE = 8, 2  # ablations of one try of a size, and tries that may fail in a row


@dataclass(frozen=True, eq=False)
class PruningCurve:
    """Kept sets of several sizes from one search.

    Attributes:
        points: one for each size, largest first. The ``ablations`` of each are those of the whole search.
        ablations: true ablations spent, all sizes together.
    """

    points: tuple[Pruned, ...]
    ablations: int

    @property
    def sizes(self) -> list[int]:
        """Numbers of players kept, largest first."""
        return [int(point.mask.sum()) for point in self.points]

    @property
    def masks(self) -> Bool[np.ndarray, "k n"]:
        """The kept sets, bool (k, n), largest first."""
        return np.stack([point.mask for point in self.points])

    def at(self, keep: int) -> Pruned:
        """The kept set of one size.

        Raises:
            InputError: a size that is not on the curve.
        """
        if keep not in self.sizes:
            raise InputError(f"the curve has no size {keep}; it has {self.sizes}")
        return self.points[self.sizes.index(keep)]


def prune_curve(
    game: Game,
    spectrum: Spectrum,
    *,
    keeps: Sequence[int | float],
    validate: int = 200,
    limits: Sequence[Limit] = (),
    known: Evaluated | None = None,
    claim: str | None = None,
    seed: int = 0,
) -> PruningCurve:
    """Find a good set of every size, in one search.

    The search goes down from all players, through sizes between those asked for, and then up again.
    Every size starts from the best sets of the last one, and all true ablations, of whatever size,
    correct one surrogate. No mask is ablated twice.

    Args:
        game: the value function; called on bool masks (m, n).
        spectrum: the decoded surrogate of the same players.
        keeps: numbers or shares of players to keep; see `prune`.
        validate: true ablations to spend, all sizes together.
        limits: limits that every size has to keep; see `prune`.
        known: a `Run` of this very game, or other masks with their values, which are not ablated again.
        claim: another metric that matters in the end; see `prune`.
        seed: seed of the random starts.

    Raises:
        InputError: no sizes, or what `prune` refuses.
    """
    check_players(game, spectrum, known)
    check_ablations(validate)
    n = spectrum.n
    sizes = sorted({size for keep in keeps if (size := size_of(keep, n))}, reverse=True)
    if not sizes:
        raise InputError("keeps is empty; give the sizes of the curve, such as [28, 20, 12]")
    rng = np.random.default_rng(seed)
    evidence = Evidence(game, spectrum, known, claim)
    budgets = [Budget(n, size, tuple(limits)) for size in sizes]
    known_sets = [programmed(spectrum, budget) for budget in budgets]
    optima = [optimum for _, optimum in known_sets]
    starts = [
        first_starts(spectrum, budget, rng, allowed)
        for budget, (allowed, _) in zip(budgets, known_sets, strict=True)
    ]
    if validate:
        _down(evidence, budgets, starts, validate, rng)
        _up(evidence, budgets, validate, rng)
    points = [
        found(evidence, spectrum, *each) for each in zip(budgets, starts, optima, strict=True)
    ]
    return PruningCurve(
        tuple(replace(point, ablations=evidence.spent) for point in points), evidence.spent
    )


def smallest(
    game: Game,
    spectrum: Spectrum,
    *,
    at_least: float,
    validate: int = 200,
    limits: Sequence[Limit] = (),
    known: Evaluated | None = None,
    seed: int = 0,
) -> Pruned:
    """The fewest players whose true value is at least ``at_least``: prune to an accuracy, not to a size.

    Tries the smallest size at which the corrected surrogate promises that value, with 8 ablations at a
    time; where 16 in a row do not reach it, the next try is larger; at the end one player less than the
    best success. Every ablation corrects the surrogate for all sizes. That no smaller set would do is
    not proven.

    Args:
        game: the value function; called on bool masks (m, n).
        spectrum: the decoded surrogate of the same players.
        at_least: the value to reach, in the units of the game's metric, on the game's own examples: leave
            room for questions that the search does not see, or choose by `choose_size`.
        validate: true ablations to spend; one at least, because promises are not values.
        limits: limits that the set has to keep as well; see `prune`.
        known: a `Run` of this very game, or other masks with their values, which are not ablated again.
        seed: seed of the random starts.

    Raises:
        InputError: no set with that value was found (the message gives the best), or what `prune` refuses.
    """
    check_players(game, spectrum, known)
    if validate < 1:
        raise InputError(f"validate is {validate}; finding the smallest set takes true ablations")
    if not np.isfinite(at_least):
        raise InputError(f"at_least is {at_least}, expected a value of the game")
    n, rng = spectrum.n, np.random.default_rng(seed)
    free = Budget(n, None, tuple(limits))
    evidence = Evidence(game, spectrum, known)
    everything = np.ones((1, n), dtype=bool)
    allowed, _ = programmed(spectrum, free)
    top = everything[0] if allowed is None else allowed
    evidence.ask(top[None])
    failed, tries = 0, 0  # sizes up to this one have been given up
    while evidence.spent < validate:
        reached = _reached(evidence, free, at_least)
        above = n + 1 if reached is None else int(reached.sum())
        leader = top if reached is None else reached
        size = _promising(evidence, free, leader, failed, above, at_least)
        if size is None:
            break
        here, before = Budget(n, size, free.limits), evidence.spent
        starts = np.concatenate(
            [carried(evidence, here, leader[None]), first_starts(spectrum, here, rng)[:2]]
        )
        explore(evidence, here, min(_TRY, validate - evidence.spent), starts=starts, rng=rng)
        if evidence.best(here)[1][:1] >= at_least:
            tries = 0
            continue
        tries += 1
        if tries >= _PATIENCE and size > failed:
            failed, tries = size, 0
        if evidence.spent == before:
            if size >= above - 1 or size >= n:
                break
            failed = max(failed, size)
    reached = _reached(evidence, free, at_least)
    if reached is None:
        best, values = evidence.best(free)
        raise InputError(
            f"no set with a value of at least {at_least:g} was found in {evidence.spent} ablations; the "
            f"best has {int(best[0].sum())} players and {values[0]:.4g}; ask for less, or raise validate"
        )
    return found(evidence, spectrum, Budget(n, int(reached.sum()), free.limits), reached[None])


def keep_rates(keeps: Sequence[int | float], n: int) -> tuple[float, float]:
    """The range of keep rates of a design that serves these sizes, for `designs.biased`.

    A surrogate is right where it was taught. Masks of the sizes asked for are what will be compared, so
    the range ends at the smallest, half a standard deviation of a random set's size lower. A search
    starts from all players and passes all sizes on the way down, so it ends near 1 above. Within it
    every rate is equally likely.

    Args:
        keeps: numbers or shares of players to keep; see `prune`.
        n: number of players.

    Raises:
        InputError: no sizes, or one out of range.
    """
    sizes = [size for keep in keeps if (size := size_of(keep, n))]
    if not sizes:
        raise InputError("keeps is empty; give the sizes of the curve, such as [28, 20, 12]")
    share = min(sizes) / n
    low = share - 0.5 * np.sqrt(share * (1.0 - share) / n)
    return float(np.clip(low, 0.02, 0.9)), float(max(0.95, 1.0 - 1.0 / n))


def _reached(evidence: Evidence, free: Budget, at_least: float) -> np.ndarray | None:
    """The smallest ablated set with the value, of equal ones the best."""
    masks, values = evidence.best(free, evidence.count)
    enough = masks[values >= at_least]
    return enough[enough.sum(axis=1).argmin()] if len(enough) else None


def _promising(
    evidence: Evidence, free: Budget, leader: np.ndarray, failed: int, above: int, at_least: float
) -> int | None:
    """The smallest size between two at which the corrected surrogate promises the value.

    Without any, the largest; where none is left between them, one player less than the smallest success.
    """
    path, mask = {}, leader
    for size in range(min(above - 1, int(leader.sum())), 0, -1):
        smaller = resized(evidence.quick, mask, Budget(free.n, size, free.limits))
        if smaller is not None:
            path[size] = mask = smaller
    if not path:
        return None
    open_sizes = [size for size in path if failed < size < above]
    if not open_sizes:
        return max(path)
    promises = evidence.full(np.stack([path[size] for size in open_sizes]))
    enough = [size for size, value in zip(open_sizes, promises, strict=True) if value >= at_least]
    return min(enough, default=max(open_sizes))


def _down(
    evidence: Evidence,
    budgets: list[Budget],
    starts: list[np.ndarray],
    validate: int,
    rng: np.random.Generator,
) -> None:
    """From all players to the smallest size; sizes between them get ablations by their number."""
    n = budgets[0].n
    leaders = np.ones((1, n), dtype=bool)
    between = 0 if budgets[0].limits else int(_BETWEEN * validate)
    sizes = [b.keep or 0 for b in budgets]
    gaps = [a - b for a, b in pairwise([n, *sizes])]
    visits = _shares(int(validate * (1.0 - _UP)) - between, [1] * len(budgets))
    ways = _shares(between, gaps)
    for k, (budget, way, visit) in enumerate(zip(budgets, ways, visits, strict=True)):
        goal = evidence.spent + way + visit
        here = descend(evidence, leaders, budget, way, rng, starts[k])
        explore(evidence, budget, max(0, goal - evidence.spent), starts=here, rng=rng)
        best, _ = evidence.best(budget, 3)
        leaders = best if len(best) else leaders


def _up(evidence: Evidence, budgets: list[Budget], validate: int, rng: np.random.Generator) -> None:
    """From the smallest size to the largest, with what is left; each starts from all others' best."""
    for k, budget in enumerate(reversed(budgets)):
        share = (validate - evidence.spent) // (len(budgets) - k)
        others = [evidence.best(other, 2)[0] for other in budgets if other is not budget]
        starts = carried(evidence, budget, np.concatenate([np.zeros((0, budget.n), bool), *others]))
        explore(evidence, budget, share, starts=starts, rng=rng)


def _shares(total: int, weights: Sequence[int]) -> list[int]:
    """Whole shares of a total in proportion to weights."""
    whole = sum(weights) or 1
    ends = [total * sum(weights[: k + 1]) // whole for k in range(len(weights))]
    return [b - a for a, b in pairwise([0, *ends])]
