r"""Interaction indices of a warped Gaussian process with many players, by Monte Carlo on its predictions.

The process predicts h(x) = g(u(x)), g the link and u a posterior mean. Its index is a weighted sum of
expected derivatives at a few keep rates (`core.index_functional`). That of slope u is exact, with the slope
of the straight line nearest to g; what is left, h - slope u, is averaged over masks drawn at each rate. No
derivative costs a prediction of its own: with w_j = alpha_j K(x, x_j) of the product part of K, flipping the
players U of x makes it

    sum_j w_j prod_{i in U} (cosh 2 theta_i - s_i s_ji sinh 2 theta_i),

so that the sums of w_j times products of the signs s_ji serve all derivatives at x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, combinations

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt64

from spex_mech.core.index_functional import IndexFunctional
from spex_mech.core.index_values import sets_by_size
from spex_mech.decoders.gp.kernel import signs
from spex_mech.decoders.gp.posterior import WalshPosterior

_DEGREE = 8  # of the polynomials in the keep rate up to which the nodes are exact
_FIRST, _MOST = 256, 4096  # masks to draw
_MOST_DERIVATIVES = 1 << 23
_CANCEL = (
    0.5  # share of the weights' sizes that is left of their sum, below which rates share draws
)
_LINE = 512  # masks that the straight line is fitted to
_CELLS = 1 << 21

Values = Callable[[Float64[np.ndarray, " k"]], Float64[np.ndarray, " k"]]


@dataclass(frozen=True, eq=False)
class Bent:
    """A link of a posterior mean.

    Attributes:
        latent: the posterior mean u.
        link: g, from latents (k,) to values (k,).
        seed: seed of the masks that are drawn.
    """

    latent: WalshPosterior
    link: Values
    seed: int

    def __call__(
        self,
        words: UInt64[np.ndarray, "k w"],
        functional: IndexFunctional,
        tolerance: Float64[np.ndarray, " k"] | None,
    ) -> tuple[Float64[np.ndarray, " k"], Float64[np.ndarray, " k"]]:
        """The index of packed sets, and the standard error of what was drawn.

        Args:
            words: uint64 (k, w).
            functional: the index.
            tolerance: float64 (k,); masks are drawn until the errors' mean square over sets of a size is
                no larger than that of this, or 4,096 are drawn (fewer for thousands of sets). None draws
                nothing: the straight line.

        Returns:
            float64 (k,) and float64 (k,).
        """
        rng = np.random.default_rng(self.seed)
        slope, level = self._line(rng)
        empty = np.where(words.any(axis=1), 0.0, level * functional.fourier(0, 0))
        values = empty + slope * self.latent.index_values(words, functional)
        errors = np.zeros(len(words))
        if tolerance is None:
            return values, errors
        for rows, sets in sets_by_size(words):
            target = float(np.mean(tolerance[rows] ** 2))
            rest, spread = self._drawn(sets, functional, slope, level, target, rng)
            # Less what its own variance makes of it, so that it does not do worse than the straight line.
            kept = max(0.0, 1.0 - float(spread @ spread) / (float(rest @ rest) or np.inf))
            values[rows] += kept * rest
            errors[rows] = spread
        return values, errors

    def _line(self, rng: np.random.Generator) -> tuple[float, float]:
        """Slope and level of the straight line nearest to the link, on masks of all sizes."""
        n = self.latent.masks.shape[1]
        u = self.latent(rng.random((_LINE, n)) < rng.random((_LINE, 1)))
        h, centred = self.link(u), u - u.mean()
        slope = float(centred @ h) / (float(centred @ centred) or 1.0)
        return slope, float(h.mean() - slope * u.mean())

    def _drawn(
        self,
        sets: Int64[np.ndarray, "k t"],
        functional: IndexFunctional,
        slope: float,
        level: float,
        target: float,
        rng: np.random.Generator,
    ) -> tuple[Float64[np.ndarray, " k"], Float64[np.ndarray, " k"]]:
        """The index of h - slope u - level, and its standard errors."""
        n, size = self.latent.masks.shape[1], sets.shape[1]
        groups = [
            (rates, weights, float(np.abs(weights).sum()))
            for rates, weights in _groups(*functional.nodes(size, min(n - size, _DEGREE)))
        ]
        total, whole = _FIRST, sum(share for _, _, share in groups)
        most = min(_MOST, max(_FIRST, _MOST_DERIVATIVES // len(sets)))
        drawn = [0] * len(groups)
        sums, squares = np.zeros((2, len(groups), len(sets)))
        while True:
            for g, (rates, weights, share) in enumerate(groups):
                count = max(2, int(np.ceil(total * share / (whole * len(rates))))) - drawn[g]
                uniform = rng.random((count, n))
                values = np.zeros((count, len(sets)))
                for rate, weight in zip(rates, weights, strict=True):
                    values += weight * self._derivatives(uniform < rate, sets, slope, level)
                sums[g] += values.sum(axis=0)
                squares[g] += (values**2).sum(axis=0)
                drawn[g] += count
            counts = np.array(drawn)[:, None]
            means = sums / counts
            variances = (np.maximum(squares / counts - means**2, 0.0) / (counts - 1)).sum(axis=0)
            if np.mean(variances) <= target or 2 * total > most:
                return means.sum(axis=0), np.sqrt(variances)
            total *= 2

    def _derivatives(
        self,
        masks: Bool[np.ndarray, "b n"],
        sets: Int64[np.ndarray, "k t"],
        slope: float,
        level: float,
    ) -> Float64[np.ndarray, "b k"]:
        """Discrete derivatives of h - slope u - level at masks."""
        kernel, latent = self.latent.kernel, self.latent
        seen = signs(latent.masks)
        columns = np.ascontiguousarray(seen.T)
        single = kernel.linear * kernel.theta * (latent.alpha @ seen)
        even, odd = np.cosh(2.0 * kernel.theta), np.sinh(2.0 * kernel.theta)
        size = sets.shape[1]
        subsets = list(chain.from_iterable(combinations(range(size), r) for r in range(size + 1)))
        derivatives = np.empty((len(masks), len(sets)))
        rows_at_once = max(1, _CELLS // len(seen))
        for first in range(0, len(masks), rows_at_once):
            rows = slice(first, first + rows_at_once)
            here = signs(masks[rows])
            product = kernel.parts(here, seen)[1] * latent.alpha
            straight = kernel.constant * latent.alpha.sum() + here @ single
            at_once = max(1, _CELLS // (max(len(here), len(seen)) * len(subsets)))
            for start in range(0, len(sets), at_once):
                part = slice(start, start + at_once)
                chosen = sets[part]
                sums = {u: product @ _signed(columns, chosen[:, list(u)]).T for u in subsets}
                own = here[:, chosen]  # (b, c, t)
                out = np.zeros((len(here), len(chosen)))
                for flipped in subsets:
                    turned = list(flipped)
                    u = straight[:, None] - 2.0 * (
                        own[:, :, turned] * single[chosen[:, turned]]
                    ).sum(axis=2)
                    for inside in subsets:
                        if set(inside) <= set(flipped):
                            term = sums[inside].copy()
                            for position in flipped:
                                players, mine = chosen[:, position], own[:, :, position]
                                if position in inside:
                                    term *= -mine * odd[players]
                                else:
                                    term *= even[players]
                            u += term
                    u = latent.shift + latent.scale * u
                    rest = self.link(u.reshape(-1)).reshape(u.shape) - slope * u - level
                    # A player that is absent, sign +1, counts with -1, and a flipped one the other way.
                    out += (-1) ** (size - len(flipped)) * own.prod(axis=2) * rest
                derivatives[rows, part] = out
        return derivatives


def _groups(
    rates: Float64[np.ndarray, " q"], weights: Float64[np.ndarray, " q"]
) -> list[tuple[Float64[np.ndarray, " g"], Float64[np.ndarray, " g"]]]:
    """Keep rates that share draws: all, where their weights mostly cancel, or none."""
    used = np.abs(weights) > 1e-12
    rates, weights = rates[used], weights[used]
    if abs(weights.sum()) < _CANCEL * np.abs(weights).sum():
        return [(rates, weights)]
    return [(rates[q : q + 1], weights[q : q + 1]) for q in range(len(rates))]


def _signed(
    columns: Float64[np.ndarray, "n m"], sets: Int64[np.ndarray, "c t"]
) -> Float64[np.ndarray, "c m"]:
    """Products of the signs of each set's players, one for each coalition."""
    out = np.ones((len(sets), columns.shape[1]))
    for players in sets.T:
        out *= columns[players]
    return out
