"""The weights w(|S|, |T|, order) by which each interaction index sums Moebius coefficients.

A new index is a function here and a line in ``WEIGHTS``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import comb

IndexWeight = Callable[[int, int, int], Fraction]


def _moebius(s: int, t: int, k: int) -> Fraction:
    """The identity."""
    return Fraction(s == t)


def _fourier(s: int, t: int, k: int) -> Fraction:
    """Inverse of a(T) = (-2)^{|T|} sum_{S ⊇ T} F(S)."""
    return Fraction((-1) ** t, 2**s)


def _bii(s: int, t: int, k: int) -> Fraction:
    """Grabisch, Marichal and Roubens 2000, equation 6."""
    return Fraction(1, 2 ** (s - t))


def _sii(s: int, t: int, k: int) -> Fraction:
    """Grabisch, Marichal and Roubens 2000, equation 7."""
    return Fraction(1, s - t + 1)


def _stii(s: int, t: int, k: int) -> Fraction:
    """Sundararajan, Dhamdhere and Agarwal 2020, theorem 2 and proposition 4."""
    return Fraction(s == t) if t < k else Fraction(1, comb(s, k))


def _fbii(s: int, t: int, k: int) -> Fraction:
    """Tsai, Yeh and Ravikumar 2023 (arXiv 2203.00870), equation 13."""
    if s <= k:
        return Fraction(s == t)
    return Fraction((-1) ** (k - t) * comb(s - t - 1, k - t), 2 ** (s - t))


def _fsii(s: int, t: int, k: int) -> Fraction:
    """Tsai, Yeh and Ravikumar 2023 (arXiv 2203.00870), equation 16."""
    if s <= k:
        return Fraction(s == t)
    scale = Fraction(t * comb(k, t), k + t) * (-1) ** (k - t)
    return scale * Fraction(comb(s - 1, k), comb(s + k - 1, k + t))


WEIGHTS: Mapping[str, IndexWeight] = {
    "Fourier": _fourier,
    "Moebius": _moebius,
    "Banzhaf": _bii,  # the BII of one player
    "Shapley": _sii,  # the SII of one player
    "BII": _bii,
    "SII": _sii,
    "STII": _stii,
    "FBII": _fbii,
    "FSII": _fsii,
}
SINGLES = ("Banzhaf", "Shapley")
WITH_EMPTY = ("Fourier", "Moebius", "STII", "FBII", "FSII")
