"""The exact LASSO, for samples whose coordinate descent does not end.

Coordinate descent is quick where few terms are in use. Near the penalties at which the terms explain all
that there is, as in games without noise, it needs thousands of passes. An active set is then quicker, and
exact: the slopes of the terms in use solve a linear system (Osborne, Presnell and Turlach 2000, section 3).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from scipy.linalg import (
    qr_delete,  # pyright: ignore[reportAttributeAccessIssue]
    qr_insert,  # pyright: ignore[reportAttributeAccessIssue]
    solve_triangular,
)

_STEPS = 20  # terms that may enter or leave, for each mask
_OPTIMAL = 1e-9  # part of the penalty by which a correlation may exceed it
_DEPENDENT = 1e-7  # part of a term's norm that is left when it is a sum of the terms in use


def exact_path(
    z: Float64[np.ndarray, "m s"],
    y: Float64[np.ndarray, " m"],
    penalties: Float64[np.ndarray, " p"],
) -> Float64[np.ndarray, "s p"]:
    """Slopes with the least of half the mean square that they leave of ``y``, plus penalty times their sizes.

    Args:
        z: float64 (m, s), terms, centred so that there is no intercept.
        y: float64 (m,), values, centred too.
        penalties: float64 (p,), positive, largest first.

    Returns:
        float64 (s, p). A penalty whose solution is not reached within twenty changes of the set for each
        mask, which all penalties share, has the slopes that were reached.
    """
    z = np.asfortranarray(z)
    path = np.zeros((z.shape[1], len(penalties)))
    used = _Used(z, y)
    steps = _STEPS * len(y)
    for k, penalty in enumerate(penalties):
        while steps:
            steps -= 1
            if used.descend(penalty):
                continue  # a term has left
            correlations = used.correlations()
            worst = int(np.argmax(np.abs(correlations)))
            if abs(correlations[worst]) <= (1.0 + _OPTIMAL) * penalty or worst in used.terms:
                break
            used.enter(worst, float(np.sign(correlations[worst])))
        path[used.terms, k] = used.slopes
    return path


class _Used:
    """The terms in use, which are independent, with their signs and slopes."""

    def __init__(self, z: Float64[np.ndarray, "m s"], y: Float64[np.ndarray, " m"]) -> None:
        self.z, self.y = z, y
        self.terms: list[int] = []
        self.signs, self.slopes = np.empty(0), np.empty(0)
        self._q, self._r = np.empty((len(y), 0)), np.empty((0, 0))

    def correlations(self) -> Float64[np.ndarray, " s"]:
        """Mean products of all terms with what the slopes leave of the values."""
        return (self.y - self.z[:, self.terms] @ self.slopes) @ self.z / len(self.y)

    def descend(self, penalty: float) -> bool:
        """Move to the best slopes of these signs; whether a slope became zero before, and its term left."""
        if not self.terms:
            return False
        pull = solve_triangular(self._r, penalty * len(self.y) * self.signs, trans=1)
        best = solve_triangular(self._r, self._q.T @ self.y - pull)
        return self._move(best - self.slopes, most=1.0) < 1.0

    def enter(self, term: int, sign: float) -> None:
        """Add a term with slope 0.

        If it is a sum of the terms in use, its slope grows at their expense, which leaves the prediction as
        it is and makes the slopes smaller, until one of them is zero and leaves.
        """
        column = self.z[:, term]
        parts = self._q.T @ column
        if np.linalg.norm(column - self._q @ parts) <= _DEPENDENT * np.linalg.norm(column):
            grown = self._move(-sign * solve_triangular(self._r, parts), most=np.inf)
            self._insert(term, sign, sign * grown)
        else:
            self._insert(term, sign, 0.0)

    def _move(self, direction: Float64[np.ndarray, " k"], most: float) -> float:
        """Go along a direction until a slope is zero, whose term leaves, or to its end; how far it went."""
        reach = np.full(len(direction), np.inf)
        shrinking = direction * self.signs < 0
        reach[shrinking] = np.maximum(-self.slopes[shrinking] / direction[shrinking], 0.0)
        first = int(np.argmin(reach))
        far = float(min(reach[first], most))
        self.slopes = self.slopes + far * direction
        if far < most:
            self._remove(first)
        return far

    def _insert(self, term: int, sign: float, slope: float) -> None:
        place = len(self.terms)
        if place:
            self._q, self._r = qr_insert(self._q, self._r, self.z[:, term], place, which="col")
        else:
            norm = np.linalg.norm(self.z[:, term])
            self._q, self._r = self.z[:, [term]] / norm, np.array([[norm]])
        self.terms.append(term)
        self.signs = np.append(self.signs, sign)
        self.slopes = np.append(self.slopes, slope)

    def _remove(self, place: int) -> None:
        self._q, self._r = qr_delete(self._q, self._r, place, which="col")
        del self.terms[place]
        self.signs, self.slopes = np.delete(self.signs, place), np.delete(self.slopes, place)
