r"""`IndexFunctional`: an interaction index as a weighted sum of expected derivatives at a few keep rates.

Let D_T f(p) be the expected discrete derivative of f by the players T when every other player is present
with probability p (the derivative of Owen's multilinear extension on its diagonal). It is a polynomial in p,

    D_T f(p) = sum_{S ⊇ T} p^{|S| - |T|} a(S)             (a: Moebius coefficients)
             = (-2)^{|T|} sum_{S ⊇ T} (1 - 2p)^{|S| - |T|} F(S),

so an index that weighs a(S) by w(|S|, |T|) is the linear functional p^r -> w(|T| + r, |T|) of it. Examples:
the integral from 0 to 1 for Shapley values and SII, the value at 1/2 for Banzhaf values and BII, the value
at 0 for Moebius. Any functional of polynomials of degree d is a weighted sum of their values at the d + 1
Chebyshev nodes. Models that are products over players are easy to evaluate at a node, whatever n is.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import pairwise
from math import comb, lcm

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64

from spex_mech.core.index_weights import SINGLES, WEIGHTS, WITH_EMPTY


@dataclass(frozen=True)
class IndexFunctional:
    """One of the indices of `index_weights.WEIGHTS`, up to an order.

    Attributes:
        index: its name.
        order: largest number of players of a set; 1 for indices of single players.
        most_degree: degree of the polynomials up to which `nodes` are exact at the most; None for
            what is asked.
    """

    index: str
    order: int
    most_degree: int | None = None

    @property
    def first(self) -> int:
        """Number of players of its smallest sets: 0 or 1."""
        return 0 if self.index in WITH_EMPTY else 1

    @property
    def single(self) -> bool:
        """Whether it is an index of single players only."""
        return self.index in SINGLES

    def moebius(self, s: int, t: int) -> Fraction:
        """The weight of a Moebius coefficient of s players in the index of t of them."""
        return WEIGHTS[self.index](s, t, self.order)

    def fourier(self, s: int, t: int) -> float:
        """The weight of a Fourier coefficient of s players in the index of t of them."""
        return _fourier(self.index, self.order, s, t)

    def nodes(
        self, t: int, degree: int
    ) -> tuple[Float64[np.ndarray, " q"], Float64[np.ndarray, " q"]]:
        """Keep rates and weights that give the index of t players, exact for polynomials in the rate.

        Args:
            t: number of players of the sets.
            degree: up to which it is exact; n - t for any function of n players.

        Returns:
            Keep rates (q,) within 0 to 1, and the weights of D_T f at these, float64: degree + 1 of them,
            or one that is exact for all polynomials.
        """
        if self.most_degree is not None:
            degree = min(degree, self.most_degree)
        return _nodes(self.index, self.order, t, degree)


@cache
def _fourier(index: str, order: int, s: int, t: int) -> float:
    weight = WEIGHTS[index]
    return float(sum(comb(s - t, j - t) * (-2) ** j * weight(j, t, order) for j in range(t, s + 1)))


@cache
def _nodes(
    index: str, order: int, t: int, degree: int
) -> tuple[Float64[np.ndarray, " q"], Float64[np.ndarray, " q"]]:
    """Interpolatory weights at Chebyshev nodes, from the exact functional of each Chebyshev polynomial."""
    moments = [WEIGHTS[index](t + r, t, order) for r in range(degree + 1)]
    rate = moments[1] / moments[0] if degree and moments[0] else Fraction(1, 2)
    if 0 <= rate <= 1 and all(b == rate * a for a, b in pairwise(moments)):
        return _fixed([float(rate)], [float(moments[0])])
    common = lcm(*(m.denominator for m in moments))
    numbers = np.array([m.numerator * (common // m.denominator) for m in moments], dtype=object)
    # T_k(1 - 2p), as integer coefficients of 1, p, p^2, ...
    before, now = np.zeros(degree + 1, dtype=object), np.zeros(degree + 1, dtype=object)
    now[0] = 1
    of_chebyshev = np.empty(degree + 1)
    for k in range(degree + 1):
        total = int(numbers[: k + 1] @ now[: k + 1])
        of_chebyshev[k] = float(Fraction(total, common))
        shifted = np.concatenate([[0], now[:-1]])
        step = now - 2 * shifted
        before, now = now, step if k == 0 else 2 * step - before
    angles = np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1)
    share = of_chebyshev * np.where(np.arange(degree + 1) == 0, 1.0, 2.0) / (degree + 1)
    weights = np.cos(angles[:, None] * np.arange(degree + 1)) @ share
    rates = np.sin(0.5 * angles) ** 2  # (1 - cos) / 2 without loss near 0
    return _fixed(rates, weights)


def _fixed(
    rates: npt.ArrayLike, weights: npt.ArrayLike
) -> tuple[Float64[np.ndarray, " q"], Float64[np.ndarray, " q"]]:
    """Arrays that all callers share."""
    both = np.array(rates, dtype=np.float64), np.array(weights, dtype=np.float64)
    for array in both:
        array.setflags(write=False)
    return both
