"""`alternative_circuits`: circuits of equal size that do the same and share as few players as possible.

A model can hold several circuits for one task (arXiv 2605.12671 finds two for indirect objects whose edges
hardly overlap). A claim about a player therefore needs to know whether another circuit does without it. Each
further circuit is searched on the surrogate minus a penalty for every player that earlier circuits hold, and
what is ablated decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.core.errors import InputError
from spex_mech.core.games import QuestionGame, ValueFunction
from spex_mech.core.masks import mask_keys
from spex_mech.core.players import PlayerSet
from spex_mech.core.seeds import check_seed
from spex_mech.core.short_repr import short_repr
from spex_mech.core.spectrum import Spectrum
from spex_mech.pruning.asked_once import AskedOnce
from spex_mech.pruning.circuit import Circuit, circuit
from spex_mech.pruning.prune import check_ablations, check_spectrum, prune, size_of

_PENALTIES = (1.0, 0.25, 0.0625)  # of a shared player, as parts of what the first circuit is worth


@short_repr
@dataclass(frozen=True, eq=False)
class AlternativeCircuits:
    """Circuits of one size that all keep most of the value, the first the best that was found.

    Attributes:
        players: all players.
        masks: bool (k, n), the circuits, True = kept; fewer than were asked for where no more were found.
        values: float64 (k,), F of each on the questions of the search. They are too high on average, because
            they were chosen among many.
        full: F of all players, on the same questions.
        empty: F of none.
        at_least: the value that every circuit after the first had to reach.
        common: bool (n,), the players that all circuits hold.
        without_common: F of all players but the common ones; equal to ``full`` where there are none.
        tested: each circuit tested on other questions; empty where none were given.
        ablations: number of different masks that the search evaluated.
    """

    players: PlayerSet
    masks: Bool[np.ndarray, "k n"]
    values: Float64[np.ndarray, " k"]
    full: float
    empty: float
    at_least: float
    common: Bool[np.ndarray, " n"]
    without_common: float
    tested: tuple[Circuit, ...]
    ablations: int

    @property
    def overlap(self) -> Float64[np.ndarray, "k k"]:
        """Players that two circuits share, as a part of those that either holds (Jaccard index)."""
        kept = self.masks.astype(np.float64)
        both, sizes = kept @ kept.T, kept.sum(axis=1)
        return both / (sizes[:, None] + sizes - both)

    def __str__(self) -> str:
        names = np.array(self.players.names)
        k = len(self.masks)
        lines = [
            f"{k} circuits of {int(self.masks[0].sum())} of {self.players.n} players (all {self.full:.3f}, "
            f"none {self.empty:.3f}, at least {self.at_least:.3f}); {self.ablations} ablations"
        ]
        for i, (mask, value) in enumerate(zip(self.masks, self.values, strict=True)):
            held_out = f", on other questions {self.tested[i].alone}" if self.tested else ""
            lines.append(f"  {value:.3f}{held_out}: {' '.join(names[mask])}")
        if k > 1:
            others = self.overlap[np.triu_indices(k, 1)]
            lines.append(
                f"  two of them share {others.min():.2f} to {others.max():.2f} of their players"
            )
        common = " ".join(names[self.common]) or "nothing"
        lines.append(
            f"  in all of them: {common}; all players but these have {self.without_common:.3f}"
        )
        return "\n".join(lines)


def alternative_circuits(
    game: ValueFunction | QuestionGame,
    spectrum: Spectrum,
    *,
    keep: int | float,
    count: int = 3,
    tolerance: float = 0.1,
    validate: int = 200,
    test: ValueFunction | QuestionGame | None = None,
    seed: int = 0,
) -> AlternativeCircuits:
    """Find circuits of one size that share as little as possible; one keyword per choice that callers make.

    The first is the one that `prune` finds. For each further one the search runs with three penalties for
    every player of the circuits before it. Of all sets of the size that were ablated and reach the value,
    that with the fewest players in common with the circuits before is taken; of equal ones, the best. It is
    not proven that no set shares less.

    Args:
        game: the game on the search questions.
        spectrum: the decoded surrogate of the same players.
        keep: number or share of players to keep, see `prune`.
        count: circuits to look for, 2 or more.
        tolerance: what a circuit may lose of the first one's value above the empty model's, from 0 to below
            1.
        validate: ablations to spend on each circuit.
        test: the game on questions that chose nothing (``game.with_split("test")``), on which each circuit is
            then tested by `circuit`; None for no test.
        seed: seed of the searches and tests.

    Raises:
        InputError: a count, tolerance or size out of range, a spectrum of other players, or a first circuit
            that is not worth more than the empty model.
    """
    check_spectrum(game.players, spectrum)
    check_ablations(validate)
    check_seed(seed)
    n = spectrum.n
    size = size_of(keep, n)
    if size is None or size == n:
        raise InputError(f"keep is {keep!r}, expected fewer players than all {n}")
    if count < 2 or validate < 1:
        raise InputError(
            f"count is {count} and validate {validate}, expected 2 or more and 1 or more"
        )
    if not 0 <= tolerance < 1:
        raise InputError(
            f"tolerance is {tolerance}, expected a part of the value, from 0 to below 1"
        )
    memory = _Memory(game)
    full, empty = memory(np.stack([np.ones(n, dtype=bool), np.zeros(n, dtype=bool)])).tolist()
    first = prune(memory, spectrum, keep=size, validate=validate, known=memory, seed=seed)
    masks = first.mask[None]
    best = float(memory(masks)[0])
    if not best > empty:
        raise InputError(
            f"the best circuit of {size} players has {best:.4g}, the empty model {empty:.4g}; keep more "
            "players"
        )
    at_least = best - tolerance * (best - empty)
    while len(masks) < count:
        _search(memory, spectrum, masks, (best - empty, validate, seed + len(masks)))
        found = _least_shared(memory, masks, size, at_least)
        if found is None:
            break
        masks = np.concatenate([masks, found[None]])
    common = np.logical_and.reduce(masks)
    return AlternativeCircuits(
        players=game.players,
        masks=masks,
        values=memory(masks),
        full=full,
        empty=empty,
        at_least=at_least,
        common=common,
        without_common=float(memory(~common[None])[0]),
        tested=() if test is None else tuple(circuit(test, m, spectrum, seed=seed) for m in masks),
        ablations=len(memory.masks),
    )


class _Memory:
    """A game that is asked each mask once, and keeps masks and values for the next search."""

    def __init__(self, game: ValueFunction | QuestionGame) -> None:
        self._game, self._once = game, AskedOnce(self._measured)
        self.masks, self.values = np.zeros((0, game.players.n), dtype=bool), np.zeros(0)

    def __call__(self, masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, " m"]:
        return self._once(masks)

    def _measured(self, masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, " m"]:
        if isinstance(self._game, ValueFunction):
            values = np.asarray(self._game(masks), dtype=np.float64)
        else:
            values = self._game.per_question(masks).mean(axis=1)
        self.masks = np.concatenate([self.masks, masks])
        self.values = np.concatenate([self.values, values])
        return values


@dataclass(frozen=True, eq=False)
class _Penalised:
    """A set function minus a penalty for each player that is kept."""

    function: _Memory | Spectrum
    penalty: Float64[np.ndarray, " n"]

    @property
    def masks(self) -> Bool[np.ndarray, "m n"]:
        return self.function.masks if isinstance(self.function, _Memory) else np.zeros((0, 0), bool)

    @property
    def values(self) -> Float64[np.ndarray, " m"]:
        return self(self.masks)

    def __call__(self, masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, " m"]:
        return self.function(masks) - masks @ self.penalty


def _search(
    memory: _Memory,
    spectrum: Spectrum,
    masks: Bool[np.ndarray, "k n"],
    worth_ablations_seed: tuple[float, int, int],
) -> None:
    """Spend ablations on sets that have little in common with those there are."""
    worth, ablations, seed = worth_ablations_seed
    size = int(masks[0].sum())
    shared = masks.mean(axis=0)
    for k, part in enumerate(_PENALTIES):
        share = ablations * (k + 1) // len(_PENALTIES) - ablations * k // len(_PENALTIES)
        penalised = _Penalised(memory, part * worth * shared)
        prune(
            penalised,
            _penalised_spectrum(spectrum, penalised.penalty),
            keep=size,
            validate=share,
            known=penalised,
            seed=seed,
        )


def _penalised_spectrum(spectrum: Spectrum, penalty: Float64[np.ndarray, " n"]) -> Spectrum:
    """The spectrum of f(x) - Σ p_i x_i, where x_i = (1 - (-1)^{x_i}) / 2."""
    n = spectrum.n
    supports: Sequence[tuple[int, ...]] = [(), *((i,) for i in range(n))]
    more = Spectrum.from_supports(supports, [-penalty.sum() / 2, *(penalty / 2)], n)
    words = np.concatenate([spectrum.words, more.words])
    both = Spectrum.from_words(words, np.concatenate([spectrum.coefficients, more.coefficients]), n)
    if spectrum.predictor is None:
        return both
    return replace(both, predictor=_Penalised(spectrum, penalty))


def _least_shared(
    memory: _Memory, masks: Bool[np.ndarray, "k n"], size: int, at_least: float
) -> Bool[np.ndarray, " n"] | None:
    """The ablated set of that size and value that shares least with those there are; None without one."""
    tried, values = memory.masks, memory.values
    enough = (tried.sum(axis=1) == size) & (values >= at_least)
    shared = (tried.astype(np.int64) @ masks.T.astype(np.int64)).sum(axis=1)
    known = set(mask_keys(masks))
    enough &= np.array([key not in known for key in mask_keys(tried)])
    if not enough.any():
        return None
    rows = np.flatnonzero(enough)
    return tried[rows[np.lexsort((-values[rows], shared[rows]))[0]]]
