r"""`Evidence`: what was observed beside a model of a game, and what it adds to the model's indices.

An index is a weighted sum of the values of all coalitions, I(T) = sum_x omega_T(x) f(x). The values of the
masks that were evaluated are known, so the model is needed for the others only: it is corrected by
sum_j omega_T(x_j) r_j with the residuals r_j = value - prediction. This pins the empty and the full
coalition, so that Shapley values, STII and FSII sum to f(N) - f(no players), and it is exact for sizes whose
coalitions are all there.

Masks of a size that were drawn alike also say something about those that were not drawn: the mean of their
residuals, weighted by omega, times the number of coalitions of the size is an unbiased estimate of the sum
over all of them (maximum sample reuse: Wang and Jia 2023, arXiv 2205.15466; Witter, Liu and Musco 2025, arXiv
2506.11849). It is multiplied by 1 - chance / square, or left out where that is negative: the square of the
estimates, summed over the sets of a size, is compared with what residuals of random sign give, which say
nothing about the others. Chance is a square that these exceed once in a hundred times, so that residuals of
pure noise are hardly ever reused. STII and FSII keep to the known values, because different factors for
single players and pairs would change the sum of all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb, lgamma

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt64

from spex_mech.core.index_functional import IndexFunctional
from spex_mech.core.index_values import sets_by_size

_ENTRIES = 1 << 22
_FLIPS, _CHANCE = 200, 0.99  # draws of random signs, and the quantile of their squares
_SUMS = ("STII", "FSII")  # indices whose values of all sizes together have a known sum


@dataclass(frozen=True, eq=False)
class Evidence:
    """Residuals of a model at the masks that were evaluated.

    Attributes:
        masks: bool (m, n), distinct, True = present.
        residuals: float64 (m,), mean value of each mask minus the model's prediction.
        alike: whether masks of equal size were equally likely to be drawn.
        span: the range of the values.
    """

    masks: Bool[np.ndarray, "m n"]
    residuals: Float64[np.ndarray, " m"]
    alike: bool
    span: float = 0.0

    @property
    def ends(self) -> Bool[np.ndarray, "e n"]:
        """The empty and the full mask, as far as they were evaluated."""
        return self.masks[ends_of(self.masks)]

    def of_unseen_ends(
        self, words: UInt64[np.ndarray, "k w"], functional: IndexFunctional
    ) -> Float64[np.ndarray, " k"]:
        """Standard deviation (k,) of indices of packed sets that comes from ends that were not evaluated.

        Games often change abruptly where no player or every player is present, and other masks do not show
        it. So such a value is taken to be as far from its prediction as the values' range is wide.
        """
        n = self.masks.shape[1]
        both = np.array([[False] * n, [True] * n])
        unseen = [end for end in both if not (self.masks == end).all(axis=1).any()]
        out = np.zeros(len(words))
        if unseen:
            for rows, sets in sets_by_size(words):
                weights, _ = known_weights(np.array(unseen), sets, functional)
                out[rows] = self.span * np.sqrt((weights**2).sum(axis=0))
        return out

    def correction(
        self, words: UInt64[np.ndarray, "k w"], functional: IndexFunctional
    ) -> Float64[np.ndarray, " k"]:
        """What to add to the model's index of packed sets (k, w); float64 (k,)."""
        reused = self.alike and not (functional.index in _SUMS and functional.order > 1)
        out = np.empty(len(words))
        for rows, sets in sets_by_size(words):
            known, others, chance = self.parts(sets, functional, reused=reused)
            square = float(others @ others)
            factor = 1.0 - float(np.quantile(chance, _CHANCE)) / square if square > 0.0 else 0.0
            out[rows] = known + max(factor, 0.0) * others
        return out

    def parts(
        self, sets: Int64[np.ndarray, "k t"], functional: IndexFunctional, *, reused: bool = True
    ) -> tuple[Float64[np.ndarray, " k"], Float64[np.ndarray, " k"], Float64[np.ndarray, " f"]]:
        """What the correction of sets of equal size (k, t) consists of.

        Returns:
            The sum over the masks that were evaluated (k,); the estimated sum over all others (k,), 0 unless
            ``reused``; and the sum of its squares over the sets under some draws of random signs (f,).
        """
        known, others = np.zeros(len(sets)), np.zeros(len(sets))
        chance = np.zeros(_FLIPS)
        step = max(1, _ENTRIES // int(np.bincount(self.masks.sum(axis=1)).max()))
        for start in range(0, len(sets), step):
            part = slice(start, start + step)
            rng = np.random.default_rng(0)  # the signs of a mask are those of all sets
            flipped = np.zeros((_FLIPS, len(sets[part])))
            for share, terms in self._by_size(sets[part], functional, centred=reused):
                mean = terms.mean(axis=0)
                known[part] += share * mean
                if reused and share < 1.0:
                    others[part] += (1.0 - share) * mean
                    flipped += (1.0 - share) ** 1.5 * _of_random_signs(terms, rng)
            chance += (flipped**2).sum(axis=1)
        return known, others, chance

    def _by_size(
        self, sets: Int64[np.ndarray, "k t"], functional: IndexFunctional, *, centred: bool
    ) -> Iterator[tuple[float, Float64[np.ndarray, "r k"]]]:
        """Each size of coalitions: the share that was evaluated, and what each mask says of the sum over all.

        The mean over the masks (r, k) estimates that sum, and the share times it is the sum over the masks
        alone. ``centred`` residuals are counted from their mean, whose part of the sum is known.
        """
        n, size = self.masks.shape[1], sets.shape[1]
        weights, logs = size_weights(n, size, functional)
        choices = np.array([comb(size, u) for u in range(size + 1)])
        of_masks = self.masks.sum(axis=1)
        for s in np.unique(of_masks).tolist():
            rows = np.flatnonzero(of_masks == s)
            residuals = self.residuals[rows]
            mean = float(residuals.mean()) if centred else 0.0
            scaled = weights[s] * np.exp(_log_binomial(n, s) - logs[s])
            columns = self.masks[rows].astype(np.int8)
            present = np.zeros((len(rows), len(sets)), dtype=np.int8)
            for players in sets.T:
                present += columns[:, players]
            terms = scaled[present] * (residuals - mean)[:, None]
            if centred:
                terms += (float(choices @ weights[s]) * residuals)[:, None]
            yield min(len(rows) / comb(n, s), 1.0), terms


def _of_random_signs(
    terms: Float64[np.ndarray, "r k"], rng: np.random.Generator
) -> Float64[np.ndarray, "f k"]:
    """Means of the masks' terms under random signs: they vary as the mean of pure noise does."""
    masks = len(terms)
    signs = rng.integers(2, size=(_FLIPS, masks)) * 2.0 - 1.0
    return signs @ terms / np.sqrt(masks * max(masks - 1, 1))


def ends_of(masks: Bool[np.ndarray, "m n"]) -> Bool[np.ndarray, " m"]:
    """Which masks are the empty or the full one."""
    sizes = masks.sum(axis=1)
    return (sizes == 0) | (sizes == masks.shape[1])


def known_weights(
    masks: Bool[np.ndarray, "m n"], sets: Int64[np.ndarray, "k t"], functional: IndexFunctional
) -> tuple[Float64[np.ndarray, "m k"], float]:
    """The weights omega_T(x) of some coalitions, and the sum of the squares of those of all coalitions.

    Args:
        masks: bool (m, n), the coalitions x.
        sets: int64 (k, t), the players of each T.
        functional: the index.
    """
    size, others = sets.shape[1], masks.shape[1] - sets.shape[1]
    weights, logs = size_weights(masks.shape[1], size, functional)
    present = np.zeros((len(masks), len(sets)), dtype=np.int64)
    for players in sets.T:
        present += masks[:, players]
    single = weights * np.exp(-logs)
    squares = weights[: others + 1, 0] ** 2 * np.exp(-logs[: others + 1, 0])
    return single[masks.sum(axis=1)[:, None], present], 2.0**size * float(squares.sum())


def size_weights(
    n: int, size: int, functional: IndexFunctional
) -> tuple[Float64[np.ndarray, "s u"], Float64[np.ndarray, "s u"]]:
    """The weight omega_T(x) of a coalition, by its number of players and how many of them are in T.

    Args:
        n: number of players.
        size: number of players of T.
        functional: the index.

    Returns:
        float64 (n + 1, size + 1) total weights of all coalitions x with s players of which u are T's, for
        one choice of those u; and the logarithm of their number, infinite where there is none.
    """
    from scipy.special import xlog1py, xlogy

    others = n - size
    rates, of_rates = functional.nodes(size, others)
    counts = np.arange(others + 1)
    logs = np.array([_log_binomial(others, b) for b in range(others + 1)])
    # A functional of the Bernstein polynomials C(d, b) p^b (1 - p)^(d - b).
    powers = xlogy(counts[:, None], rates) + xlog1py(others - counts[:, None], -rates)
    of_counts = np.exp(logs[:, None] + powers) @ of_rates
    weights = np.zeros((n + 1, size + 1))
    numbers = np.full((n + 1, size + 1), np.inf)
    for u in range(size + 1):
        weights[u : u + others + 1, u] = (-1) ** (size - u) * of_counts
        numbers[u : u + others + 1, u] = logs
    return weights, numbers


def _log_binomial(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
