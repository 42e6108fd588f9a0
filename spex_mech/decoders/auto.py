"""`auto`: the method that a design asks for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64, Int64

from spex_mech.core.answers import Answers
from spex_mech.core.errors import InputError
from spex_mech.core.masks import unique
from spex_mech.core.spectrum import Spectrum
from spex_mech.core.transform import MAX_PLAYERS
from spex_mech.decoders.checks import check_values, constant_alone, constant_spectrum, distinct
from spex_mech.decoders.diagnosis import UNEXPLAINED, outlier, unexplained
from spex_mech.decoders.exact import exact
from spex_mech.decoders.gp.decode import walsh_gp, walsh_gp_answers
from spex_mech.decoders.spex.decode import spex
from spex_mech.decoders.spex.expected_r2 import spex_r2, subsampling_of
from spex_mech.decoders.stack.asked import stack_answers
from spex_mech.decoders.stack.decode import MIN_MASKS, stack
from spex_mech.designs.crossed import Crossing
from spex_mech.designs.design import MaskDesign
from spex_mech.designs.spex import SpexStructure

_CLEAR = 0.98  # R² of SPEX at which nothing else is tried
_FOLDS = 10  # of a crossed design


def auto(
    design: MaskDesign,
    values: npt.ArrayLike,
    *,
    seed: int = 0,
    gradients: npt.ArrayLike | None = None,
) -> Spectrum:
    """Choose the method by the design; the message says which was chosen and what R² to expect.

    - All 2^n masks (at most 24 players): ``exact``.
    - A coded design of `designs.spex`: ``spex``, unless a stack explains held-out masks better; the
      stack's folds are then whole subsamplings, since masks of one subsampling share their aliases.
    - A design of `designs.crossed`: a ``stack`` whose folds hold out whole masks of its first kind.
    - Otherwise the ``stack``, whose members depend on what is affordable (see `stack`), or `walsh_gp`
      alone with fewer than 8 distinct masks.

    Gradients by the players' gates (float64 (n,), see `walsh_gp`) are worth many masks where players are
    hundreds. There are no other options: to set some, name the method. A spectrum that explains less than
    a tenth of the variance of held-out masks is still returned, with a message that says so, names possible
    reasons, and recommends a design that would tell them apart.

    Returns:
        The chosen method's spectrum; ``info`` holds the ``method``, the ``message``, and ``r2_cv`` unless
        the spectrum is exact.

    Raises:
        InputError: values that do not fit the design, all masks equal with unequal values, or gradients that
            are not one finite number for each player.
    """
    y = check_values(design, values)
    if constant := constant_spectrum(design, y, "auto"):
        return constant
    first, means, _ = distinct(design, y)
    if design.n <= MAX_PLAYERS and len(first) == 1 << design.n:
        return exact(design, y)
    if not np.ptp(means) > 0:
        return _noise_alone(design, means)
    if isinstance(design.structure, SpexStructure):
        best, why = _coded(design, y, seed, gradients)
    elif len(first) < MIN_MASKS:
        best = walsh_gp(design, y, seed=seed, gradients=gradients)
        why = f"chose walsh_gp for {len(first)} masks"
    else:
        fold = _blocks(design, seed)
        best = stack(design, y, seed=seed, fold=fold, gradients=gradients)
        why = "chose to stack" + (
            "" if fold is None else ", with whole masks of the first kind held out"
        )
    r2 = best.info.get("r2_cv", np.nan)
    message = f"{why}: {best.info['message']}"
    if not r2 >= UNEXPLAINED:
        message = f"{unexplained(design, y, r2)} ({best.info['method']} was used)"
    message += outlier(y)
    return replace(best, info={**best.info, "message": message})


def auto_answers(
    design: MaskDesign,
    answers: Answers,
    *,
    seed: int = 0,
    gradients: npt.ArrayLike | None = None,
) -> Spectrum:
    """What `auto` does with answers to single questions: a stack, or `walsh_gp` alone of few masks.

    Raises:
        InputError: fewer than 10 distinct masks, or gradients as in `auto`.
    """
    if len(unique(answers.masks)[0]) < MIN_MASKS:
        return walsh_gp_answers(design, answers, seed=seed, gradients=gradients)
    best = stack_answers(design, answers, seed=seed, gradients=gradients)
    message = f"chose to stack: {best.info['message']}"
    if not best.info["r2_cv"] >= UNEXPLAINED:
        means = answers.means()
        message = (
            f"{unexplained(design, means, best.info['r2_cv'])} ({best.info['method']} was used)"
        )
    return replace(best, info={**best.info, "message": message})


def _coded(
    design: MaskDesign,
    values: Float64[np.ndarray, " m"],
    seed: int,
    gradients: npt.ArrayLike | None,
) -> tuple[Spectrum, str]:
    """SPEX or a stack, whichever predicts held-out masks better, and why."""
    decoded = spex(design, values)
    expected = spex_r2(design, values, decoded)
    message = f"{decoded.info['message']}; expect R² {expected:.3f}"
    decoded = replace(decoded, info={**decoded.info, "r2_cv": expected, "message": message})
    if expected >= _CLEAR:
        return decoded, "chose spex for the coded design, which it explains"
    fold = subsampling_of(design)
    several = len(np.unique(fold)) > 1
    try:
        held = fold if several else None
        stacked = stack(design, values, seed=seed, fold=held, gradients=gradients)
    except InputError:  # too few distinct masks
        return decoded, "chose spex for the coded design"
    scores = f"by R² on masks held out (spex {expected:.3f}, stack {stacked.info['r2_cv']:.3f})"
    best = stacked if stacked.info["r2_cv"] > expected else decoded
    return best, f"chose {best.info['method']} {scores}"


def _blocks(design: MaskDesign, seed: int) -> Int64[np.ndarray, " m"] | None:
    """Folds that hold out whole masks of the first kind of a crossed design; None for the usual folds."""
    if not isinstance(design.structure, Crossing):
        return None
    fold = design.structure.folds(_FOLDS, seed)
    return fold if fold.any() else None


def _noise_alone(design: MaskDesign, means: Float64[np.ndarray, " u"]) -> Spectrum:
    message = (
        f"the values of equal masks differ and the means of all {len(means)} distinct masks are equal: "
        "nothing but noise about a constant"
    )
    return constant_alone(design, float(means[0]), "auto", message)
