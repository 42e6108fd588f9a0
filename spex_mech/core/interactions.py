"""`Interactions`: a spectrum read as an interaction index, of its whole model or of its terms.

Every index here is a weighted sum of Moebius coefficients a over supersets, the weight depending on the
two sizes only,

    I(T) = sum_{S ⊇ T} w(|S|, |T|) a(S),        f(x) = sum_{S ⊆ x} a(S),

and the Moebius coefficients are such a sum of Fourier coefficients, a(T) = (-2)^{|T|} sum_{S ⊇ T} F(S)
(expand (-1)^{x} = 1 - 2 x). The weights are composed exactly, in fractions, into weights from Fourier
coefficients to the index; most of those vanish, so that only terms that matter are ever expanded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, UInt64

from spex_mech.core.errors import InputError
from spex_mech.core.index_functional import IndexFunctional
from spex_mech.core.index_sets import MOST_SETS, strongest
from spex_mech.core.index_values import Indexed, IndexedPosterior
from spex_mech.core.index_weights import SINGLES, WEIGHTS, WITH_EMPTY
from spex_mech.core.packed import pack_supports, players_of
from spex_mech.core.short_repr import short_repr
from spex_mech.core.spectrum import Spectrum
from spex_mech.core.supersets import ROUNDING, superset_sums

if TYPE_CHECKING:
    import shapiq  # pyright: ignore[reportMissingImports]

_TERMS = ("whole", "readout")


@short_repr
@dataclass(frozen=True, eq=False)
class Interactions:
    """Values of an interaction index, by set of players.

    Attributes:
        index: name of the index.
        order: largest number of players of a set.
        n: number of players.
        values: value of each set (players in increasing order, small sets first); sets that are not
            there have value 0. The polynomials Moebius, STII, FBII and FSII have the empty set among
            them, and so has Fourier; the others measure players only.
        baseline: what the values are counted from: the constant of Fourier (the mean of f) and of
            FBII (the fitted constant), and otherwise f of no players.
        deviations: computes the standard deviations of ``values``, for `std`.
    """

    index: str
    order: int
    n: int
    values: Mapping[tuple[int, ...], float]
    baseline: float
    deviations: Callable[[], Float64[np.ndarray, " k"] | None] | None = field(
        default=None, repr=False
    )

    @cached_property
    def std(self) -> Mapping[tuple[int, ...], float] | None:
        """Standard deviation of each value of ``values``; None where no posterior is known.

        That of the index of the whole game about the value that stands here: it counts the posterior's
        variance; what no smooth model follows, where evaluated masks have corrected the value; and what the
        readout left out, where the value sums over the terms that were read out.
        Computed when first asked for, in time m^2 for each of the sets, m being the masks decoded.
        """
        deviations = None if self.deviations is None else self.deviations()
        if deviations is None:
            return None
        return dict(zip(self.values, deviations.tolist(), strict=True))

    def joint(self, k: int) -> list[tuple[tuple[int, ...], float]]:
        """The ``k`` sets of two or more players of largest absolute value, largest first."""
        return [item for item in self.top(len(self.values)) if len(item[0]) > 1][:k]

    def top(self, k: int) -> list[tuple[tuple[int, ...], float]]:
        """The ``k`` sets of largest absolute value, largest first, without the empty set."""
        sets = [item for item in self.values.items() if item[0]]
        return sorted(sets, key=lambda item: -abs(item[1]))[:k]

    def to_shapiq(self) -> shapiq.InteractionValues:
        """The same values as a shapiq ``InteractionValues``, for its plots.

        Raises:
            InputError: shapiq is not installed.
        """
        from spex_mech.core.shapiq import import_shapiq

        peer = import_shapiq()
        names = {"Shapley": "SV", "Banzhaf": "BV"}
        values = {(): self.baseline, **self.values}
        return peer.InteractionValues(
            values=np.array(list(values.values())),
            interaction_lookup={players: k for k, players in enumerate(values)},
            index=names.get(self.index, self.index),
            min_order=0,
            max_order=self.order,
            n_players=self.n,
            estimated=True,
            baseline_value=self.baseline,
        )


def interactions(
    spectrum: Spectrum, index: str = "FBII", order: int | None = 2, *, terms: str = "whole"
) -> Interactions:
    """Read an interaction index off a spectrum, exactly.

    Args:
        spectrum: any sparse spectrum.
        index: ``Fourier``, ``Moebius``, ``Banzhaf``, ``Shapley`` (both of single players),
            ``BII``, ``SII`` (of each set on its own, which is not the aggregated n-SII), ``STII``,
            ``FBII`` or ``FSII``. The last three depend on ``order`` in all their values.
        order: largest number of players of a set, 1 to n; None for that of the largest term.
        terms: ``whole`` for the index of the decoder's full model, the spectrum's ``predictor``, where
            it has one that gives indices (see `index_values.Indexed`); ``readout`` for that of the
            terms that were read out of it.

    Returns:
        All sets of at most ``order`` players whose value is not zero. Of the whole model, the 5,000
        strongest of each size where there are more; with more than 2^20 sets of a size, the strongest
        of those within the terms.

    Raises:
        InputError: an index, order or kind of terms that does not exist, or terms so large that they
            have more than 2^27 subsets of that order.
    """
    functional = _functional(spectrum, index, order)
    if terms not in _TERMS:
        raise InputError(f"terms is {terms!r}, expected one of {', '.join(_TERMS)}")
    if terms == "whole" and isinstance(spectrum.predictor, Indexed):
        table = _of_model(spectrum.predictor, spectrum, functional)
        empty = _of_nobody(spectrum)
    else:
        table = _table(
            *superset_sums(spectrum, functional.fourier, functional.first, functional.order)
        )
        empty = float(spectrum.coefficients.sum())  # f of no players: every sign is +1
    baseline = table.get((), 0.0) if index in WITH_EMPTY else empty

    def deviations() -> Float64[np.ndarray, " k"] | None:
        sets = pack_supports(list(table), spectrum.n)
        known = spectrum.evidence if terms == "whole" else None
        if known is not None and isinstance(spectrum.predictor, IndexedPosterior):
            std = spectrum.predictor.index_std(sets, functional, known.ends)
            return np.hypot(std, known.of_unseen_ends(sets, functional))
        return spectrum.deviations(sets, np.array(list(table.values())), functional.fourier)

    return Interactions(index, functional.order, spectrum.n, table, baseline, deviations)


def _functional(spectrum: Spectrum, index: str, order: int | None) -> IndexFunctional:
    if index not in WEIGHTS:
        raise InputError(f"index is {index!r}, expected one of {', '.join(WEIGHTS)}")
    if order is None:
        order = int(spectrum.degrees.max(initial=1))
    if isinstance(order, bool) or not isinstance(order, (int, np.integer)):
        raise InputError(f"order is {order!r}, expected an integer from 1 to {spectrum.n}, or None")
    if not 1 <= order <= max(spectrum.n, 1):
        raise InputError(f"order is {order}, expected 1 to {spectrum.n} (the players) or None")
    return IndexFunctional(index, 1 if index in SINGLES else int(order))


def _of_model(
    model: Indexed, spectrum: Spectrum, functional: IndexFunctional
) -> dict[tuple[int, ...], float]:
    """The index of the whole model, of sets of all sizes."""
    words, values = [], []
    for size in range(functional.first, functional.order + 1):
        found = strongest(model, spectrum.n, size, functional)
        if found is None:
            within, sums = superset_sums(spectrum, functional.fourier, size, size)
            chosen = within[np.sort(np.argsort(-np.abs(sums), kind="stable")[:MOST_SETS])]
            found = chosen, model.index_values(chosen, functional)
        words.append(found[0])
        values.append(found[1] + _correction(spectrum, found[0], functional))
    sets, of_sets = np.concatenate(words), np.concatenate(values)
    kept = np.abs(of_sets) > ROUNDING * np.abs(of_sets).max(initial=0.0)
    return _table(sets[kept], of_sets[kept])


def _correction(
    spectrum: Spectrum, words: UInt64[np.ndarray, "k w"], functional: IndexFunctional
) -> Float64[np.ndarray, " k"]:
    if spectrum.evidence is None:
        return np.zeros(len(words))
    return spectrum.evidence.correction(words, functional)


def _of_nobody(spectrum: Spectrum) -> float:
    """The value of the empty coalition: what was evaluated, or else predicted."""
    empty = pack_supports([()], spectrum.n)
    known = _correction(spectrum, empty, IndexFunctional("Moebius", 1))
    return float(spectrum(np.zeros((1, spectrum.n), dtype=bool))[0] + known[0])


def moebius(spectrum: Spectrum) -> Interactions:
    """All Moebius coefficients of the terms: f(x) = sum of the values of the sets within x."""
    return interactions(spectrum, "Moebius", None, terms="readout")


def to_spectrum(values: Interactions) -> Spectrum:
    """The Fourier spectrum of an index that is a polynomial: the inverse of `interactions`.

    Gives back f from Fourier or from all Moebius coefficients, and from FBII or FSII the polynomial
    that they fit to f.

    Raises:
        InputError: an index that is not a function's coefficients.
    """
    if values.index not in ("Fourier", "Moebius", "FBII", "FSII"):
        raise InputError(
            f"{values.index} values do not determine a function; use Moebius, Fourier, FBII or FSII"
        )
    terms = Spectrum.from_supports(list(values.values), list(values.values.values()), values.n)
    if values.index == "Fourier":
        return terms
    # F(T) = (-1)^{|T|} sum_{S ⊇ T} 2^{-|S|} a(S), from x = (1 - (-1)^x) / 2.
    words, weights = superset_sums(terms, lambda s, t: (-1) ** t / 2.0**s, 0, terms.n)
    return Spectrum(words, weights, values.n)


def _table(
    words: UInt64[np.ndarray, "u w"], values: Float64[np.ndarray, " u"]
) -> dict[tuple[int, ...], float]:
    """Values by tuple of players: small sets first, then in lexicographic order."""
    table: dict[tuple[int, ...], float] = {}
    sizes = np.bitwise_count(words).sum(axis=1, dtype=np.int64)
    for size in np.unique(sizes).tolist():
        rows = np.flatnonzero(sizes == size)
        players = players_of(words[rows], size)
        order = np.lexsort(players.T[::-1]) if size else np.arange(len(rows))
        keys = map(tuple, players[order].tolist())
        table.update(zip(keys, values[rows[order]].tolist(), strict=True))
    return table
