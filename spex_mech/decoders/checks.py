"""Checks of a decoder's input, shared by all decoders."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64, Int64

from spex_mech.core.answers import Answers
from spex_mech.core.errors import InputError
from spex_mech.core.masks import unique
from spex_mech.core.packed import word_count
from spex_mech.core.spectrum import Spectrum
from spex_mech.designs.design import MaskDesign


def check_values(design: MaskDesign, values: npt.ArrayLike) -> Float64[np.ndarray, " m"]:
    """Return ``values`` as float64 (m,), or say why they do not belong to ``design``.

    Raises:
        InputError: another number of values than of masks, or a value that is NaN or infinite.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(
            f"values of type {type(values).__name__} are not numbers, expected float64 (m,)"
        ) from None
    if array.shape != (len(design),):
        raise InputError(
            f"values have shape {array.shape}, expected ({len(design)},): one for each mask of the "
            "design, in its order"
        )
    finite = np.isfinite(array)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        raise InputError(
            f"value {array[row]} of mask {row} is not finite ({(~finite).sum()} such values); "
            "evaluate those masks again, or leave them out of the design"
        )
    return array


def constant_spectrum(
    design: MaskDesign, values: Float64[np.ndarray, " m"], method: str
) -> Spectrum | None:
    """The spectrum of the intercept alone if all values are equal, else None."""
    if np.ptp(values) > 0:
        return None
    message = f"all {len(values)} values equal {values[0]:g}: the answer is the constant alone"
    return constant_alone(design, float(values[0]), method, message)


def constant_answers(design: MaskDesign, answers: Answers, method: str) -> Spectrum | None:
    """The intercept alone if no question's answer ever changes with the mask, else None.

    Answers that are all equal say so at once; others where every question that was asked was asked at least
    twice. The constant is the mean over these questions.
    """
    asked, place, counts = np.unique(answers.question, return_inverse=True, return_counts=True)
    first = np.empty(len(asked))
    first[place] = answers.values  # any answer to each question
    alike = not np.ptp(answers.values) > 0
    if not alike and (counts.min() < 2 or (answers.values != first[place]).any()):
        return None
    message = f"no answer to {len(asked)} questions changes with the mask: the answer is the constant alone"
    return constant_alone(design, float(first.mean()), method, message)


def constant_alone(design: MaskDesign, value: float, method: str, message: str) -> Spectrum:
    """The spectrum of the intercept alone; its ``r2_cv`` is 0, since a constant explains no variance."""
    words = np.zeros((1, word_count(design.n)), dtype=np.uint64)
    info = {"method": method, "r2_cv": 0.0, "message": message}
    return Spectrum(words, np.array([value]), design.n, info)


def check_weights(design: MaskDesign, weights: npt.ArrayLike | None) -> Float64[np.ndarray, " m"]:
    """Return how many answers each value is the mean of as float64 (m,); 1 for each where they are not given.

    Raises:
        InputError: another number of weights than of masks, or one that is not above 0.
    """
    if weights is None:
        return np.ones(len(design))
    array = check_values(design, weights)
    if not array.min() > 0:
        row = int(array.argmin())
        raise InputError(f"the weight of mask {row} is {array[row]}, expected a number above 0")
    return array


def distinct(
    design: MaskDesign,
    values: Float64[np.ndarray, " m"],
    weights: Float64[np.ndarray, " m"] | None = None,
) -> tuple[Int64[np.ndarray, " u"], Float64[np.ndarray, " u"], Float64[np.ndarray, " u"]]:
    """Average the values of equal masks.

    Args:
        design: the masks.
        values: float64 (m,).
        weights: float64 (m,), how much each value counts; by default 1.

    Returns:
        The row of each distinct mask's first appearance (u,), the mean of its values (u,) and the sum of
        their weights (u,), which is the number of its appearances where all are 1.
    """
    first, inverse = unique(design.masks)
    counts = np.bincount(inverse, weights, minlength=len(first)).astype(np.float64)
    weighted = values if weights is None else weights * values
    return first, np.bincount(inverse, weights=weighted, minlength=len(first)) / counts, counts
