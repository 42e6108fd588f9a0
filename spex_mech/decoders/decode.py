"""`decode`: one function that calls every decoder, and the choice among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float64, Int64

from spex_mech.core.answers import Answers, EvaluatedMasks
from spex_mech.core.errors import InputError
from spex_mech.core.evidence import Evidence, ends_of
from spex_mech.core.index_values import Indexed
from spex_mech.core.masks import pack, unique
from spex_mech.core.packed import word_count
from spex_mech.core.seeds import check_seed
from spex_mech.core.spectrum import Spectrum
from spex_mech.core.transform import MAX_PLAYERS, exact_spectrum
from spex_mech.decoders.checks import check_values, constant_answers, constant_spectrum, distinct
from spex_mech.decoders.diagnosis import UNEXPLAINED, outlier, unexplained
from spex_mech.decoders.gp.decode import walsh_gp, walsh_gp_answers
from spex_mech.decoders.lasso import lasso
from spex_mech.decoders.means import decode_means
from spex_mech.decoders.proxyspex import proxyspex
from spex_mech.decoders.spex.decode import spex
from spex_mech.decoders.spex.expected_r2 import spex_r2, subsampling_of
from spex_mech.decoders.stack.asked import stack_answers
from spex_mech.decoders.stack.decode import MIN_MASKS, stack
from spex_mech.designs.crossed import Crossing
from spex_mech.designs.design import MaskDesign
from spex_mech.designs.spex import SpexStructure

_CLEAR = 0.98  # R² of SPEX at which nothing else is tried
_FOLDS = 10  # of a crossed design


def decode(
    design: MaskDesign,
    values: npt.ArrayLike | EvaluatedMasks | Answers,
    *,
    method: str = "auto",
    seed: int = 0,
    **options: Any,
) -> Spectrum:
    """Turn the values of a design's masks into a sparse Fourier spectrum.

    Args:
        design: the masks; ``spex`` needs one made by `designs.spex`.
        values: float64 (m,), one for each mask; or a `Run` of the design, or `Answers` to single questions
            under its masks. Of a run whose masks were asked some questions each, the answers are decoded: the
            spectrum is that of the mean over all questions, and ``walsh_gp``, ``stack`` and ``auto`` model
            what questions have in common and how they differ. ``lasso``, ``proxyspex`` and ``spex`` see each
            mask's mean answer, freed of the questions' levels and weighted by the number of answers (see
            `decoders.means`); ``exact`` sees it unweighted.
        method: ``auto``, ``stack``, ``walsh_gp``, ``proxyspex``, ``spex``, ``lasso`` or ``exact``.
            ``auto`` is exact when all 2^n masks are there, compares ``spex`` with a ``stack`` on a
            coded design, and otherwise stacks (see `auto`).
        seed: seed of what the method draws, such as its folds; ``spex`` and ``exact`` draw nothing.
        **options: keywords of the method's own function; of ``auto``, ``stack`` and ``walsh_gp`` also
            ``gradients``.

    Returns:
        The spectrum; its ``info`` holds the ``method`` that was used and a ``message``. Where it has a
        full model whose interaction indices are known, its ``evidence`` corrects these by the values.

    Raises:
        InputError: a method that does not exist, or input that the method cannot use.
    """
    check_seed(seed)
    seeds = {} if method in _UNSEEDED else {"seed": seed}
    function = decoder(method)
    if isinstance(values, EvaluatedMasks):
        values = values.values if values.answers is None else values.answers
    if isinstance(values, Answers):
        if not np.array_equal(values.masks, design.masks):
            raise InputError(
                f"the answers are of {len(values.masks)} masks that are not the design's {len(design)}; "
                "decode them with their own design"
            )
        if constant := constant_answers(design, values, method):
            return constant
        if method in ANSWERS:
            return ANSWERS[method](design, values, **seeds, **options)
        if method in WEIGHTED:
            return decode_means(function, design, values, **seeds, **options)
        values = values.means()
    y = check_values(design, values)
    inner = _between(design)
    fitted = design if inner.all() else _rows(design, inner)
    spectrum = function(fitted, y[inner], **seeds, **options)
    if not isinstance(spectrum.predictor, Indexed):
        return spectrum
    return replace(spectrum, evidence=evidence_of(spectrum, design, y))


def _between(design: MaskDesign) -> Bool[np.ndarray, " m"]:
    """Which masks to fit: all but the empty and the full mask where a uniform design has added those.

    Where a game changes abruptly at these two, they would spoil the fit to the others.
    """
    inclusion, n = design.inclusion, design.n
    ends = ends_of(design.masks)
    added = design.kind == "uniform" and inclusion is not None and inclusion[n // 2] < inclusion[0]
    if not added or len(design) - ends.sum() < MIN_MASKS or len(design) == 2.0**n:
        return np.ones(len(design), dtype=bool)
    return ~ends


def _rows(design: MaskDesign, rows: Bool[np.ndarray, " m"]) -> MaskDesign:
    """Some masks of a design without structure."""
    return MaskDesign(design.masks[rows], design.seed, design.kind, design.keep_rates)


def decoder(method: str) -> Callable[..., Spectrum]:
    """The function behind a method's name.

    Raises:
        InputError: a method that does not exist.
    """
    if method not in DECODERS:
        raise InputError(f"method is {method!r}, expected one of {', '.join(DECODERS)}")
    return DECODERS[method]


def evidence_of(spectrum: Spectrum, design: MaskDesign, values: npt.ArrayLike) -> Evidence:
    """The residuals of a spectrum at the distinct masks of the design that it was decoded from.

    Where equal masks have unequal values, the residuals are multiplied by the share of their mean square that
    the spread of those values does not explain.

    Raises:
        InputError: values that do not fit the design.
    """
    y = check_values(design, values)
    first, means, counts = distinct(design, y)
    masks = design.masks[first]
    residuals = means - spectrum(masks)
    repeats = len(y) - len(first)
    if repeats and residuals.any():
        spread = y - means[unique(design.masks)[1]]
        noise = float(spread @ spread) / repeats * float(np.mean(1.0 / counts))
        residuals *= max(0.0, 1.0 - noise / float(np.mean(residuals**2)))
    return Evidence(masks, residuals, design.inclusion is not None, float(np.ptp(means)))


def exact(design: MaskDesign, values: npt.ArrayLike) -> Spectrum:
    """Exact transform of a design that holds every mask (equal masks are averaged).

    Raises:
        InputError: a design that lacks masks, or has more than 24 players.
    """
    y = check_values(design, values)
    first, means, _ = distinct(design, y)
    if design.n > MAX_PLAYERS or len(first) != 1 << design.n:
        raise InputError(
            f"the design holds {len(first)} distinct masks, the exact transform needs all "
            f"2^{design.n} (and at most {MAX_PLAYERS} players); use designs.exhaustive or another "
            "method"
        )
    table = np.empty(len(first))
    table[pack(design.masks[first])[:, 0]] = means
    return exact_spectrum(table)


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
    words = np.zeros((1, word_count(design.n)), dtype=np.uint64)
    message = (
        f"the values of equal masks differ and the means of all {len(means)} distinct masks are equal: "
        "nothing but noise about a constant"
    )
    return Spectrum(
        words, means[:1], design.n, {"method": "auto", "r2_cv": 0.0, "message": message}
    )


DECODERS: Mapping[str, Callable[..., Spectrum]] = {
    "auto": auto,
    "walsh_gp": walsh_gp,
    "stack": stack,
    "proxyspex": proxyspex,
    "spex": spex,
    "lasso": lasso,
    "exact": exact,
}
_UNSEEDED = frozenset({"spex", "exact"})

ANSWERS: Mapping[str, Callable[..., Spectrum]] = {
    "auto": auto_answers,
    "walsh_gp": walsh_gp_answers,
    "stack": stack_answers,
}
"""The decoders that model answers to single questions."""

TAKE_GRADIENTS = frozenset(ANSWERS)
"""The decoders that take gradients by the players' gates."""

WEIGHTED = frozenset({"lasso", "proxyspex", "spex"})
"""The decoders that take mean answers with weights."""
