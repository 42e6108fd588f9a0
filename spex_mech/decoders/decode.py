"""`decode`: one function that calls every decoder by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool

from spex_mech.core.answers import Answers, EvaluatedMasks
from spex_mech.core.errors import InputError
from spex_mech.core.evidence import Evidence, ends_of
from spex_mech.core.index_values import Indexed
from spex_mech.core.masks import unique
from spex_mech.core.seeds import check_seed
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.auto import auto, auto_answers
from spex_mech.decoders.checks import check_values, constant_answers, distinct
from spex_mech.decoders.exact import exact
from spex_mech.decoders.gp.decode import walsh_gp, walsh_gp_answers
from spex_mech.decoders.lasso import lasso
from spex_mech.decoders.means import decode_means
from spex_mech.decoders.proxyspex import proxyspex
from spex_mech.decoders.spex.decode import spex
from spex_mech.decoders.stack.asked import stack_answers
from spex_mech.decoders.stack.decode import MIN_MASKS, stack
from spex_mech.designs.design import MaskDesign


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
