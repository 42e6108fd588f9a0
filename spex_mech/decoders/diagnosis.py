"""Messages for values that no decoder could predict.

Such values are either noise or the result of few interactions of high degree. Regression on terms of low
degree cannot tell the two apart, but a coded design can. The message also reports what the values show:
whether equal masks repeat their value, and how many different values there are.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from spex_mech.core.errors import InputError
from spex_mech.core.masks import unique
from spex_mech.decoders.checks import distinct
from spex_mech.designs.codes import source_code
from spex_mech.designs.design import MaskDesign
from spex_mech.designs.spex import MIN_GROUPS, SpexStructure

UNEXPLAINED = 0.1  # R² on masks held out, below which nothing is claimed
_DEGREE = 5
_BITS = 4  # a first coded design has bins for 2^4 terms
_OUTLIER, _FEW_VALUES = 0.5, 10  # share of the variance, and fewest values for the message
_FEW_LEVELS = 0.5  # of the masks


def unexplained(design: MaskDesign, values: Float64[np.ndarray, " m"], r2: float) -> str:
    """One line on values whose R² ``r2`` on held-out masks is close to 0."""
    coded = isinstance(design.structure, SpexStructure)
    start = (
        f"nothing here predicts masks it has not seen (cross-validated R² {r2:.3f}): no structure of low "
        f"degree was found in {len(design)} masks, and none of these terms should be relied on. Noise "
        "looks like this, and so do a few interactions of high degree"
    )
    advice = _advice(design.n)
    if coded:
        advice = "a coded design with more masks, or noise measured by evaluating masks twice"
    return f"{start}; {_evidence(design, values)}. What could tell: {advice}"


def outlier(values: Float64[np.ndarray, " m"]) -> str:
    """One line if a single value makes up most of the variance, else nothing."""
    squares = (values / np.ptp(values) - np.mean(values / np.ptp(values))) ** 2
    row = int(np.argmax(squares))
    share = float(squares[row] / squares.sum())
    if share < _OUTLIER or len(values) < _FEW_VALUES:
        return ""
    return (
        f". Beware: value {values[row]:g} of mask {row} makes up {100 * share:.0f} % of the variance; "
        "if it is an error, evaluate that mask again"
    )


def _evidence(design: MaskDesign, values: Float64[np.ndarray, " m"]) -> str:
    standard = (values - values.mean()) / np.ptp(values)
    first, means, _ = distinct(design, standard)
    repeats = len(values) - len(first)
    if repeats:
        left = standard - means[unique(design.masks)[1]]
        share = float(left @ left) / repeats / float(standard.var())
        if share < 1e-9:
            return f"{repeats} masks evaluated again gave the same values, so it is not noise"
        return f"{repeats} masks evaluated again put noise at {100 * min(share, 1.0):.0f} % of the variance"
    levels = len(np.unique(np.round(means, 9)))
    if levels <= _FEW_LEVELS * len(first):
        return (
            f"the values take only {levels} levels, which speaks for a function of few parts, if they "
            "are not rounded"
        )
    return "no mask was evaluated twice, so the values cannot say which"


def _advice(n: int) -> str:
    """The coded design that would find high-degree terms, and what it costs (see `designs.spex`)."""
    try:
        parity = source_code(n, _DEGREE).parity
    except InputError:
        return "evaluating some masks twice"
    budget = MIN_GROUPS * (1 + parity) << _BITS
    if n < 63 and 2 * budget >= 1 << n:
        return f"all {1 << n} masks, designs.exhaustive({n})"
    return (
        f"a coded design, designs.spex({n}, {budget}), for about {1 << _BITS} terms of degree <= "
        f"{_DEGREE} (twice the masks for twice the terms), decoded by method 'spex' or 'auto'"
    )
