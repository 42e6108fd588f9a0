"""SPEX: decode the values of a coded design by peeling (arXiv 2502.13870, algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64, Int64

from spex_mech.core.errors import InputError
from spex_mech.core.masks import pack
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.checks import check_values, check_weights, constant_spectrum
from spex_mech.decoders.ridge import parities, ridge
from spex_mech.decoders.spex.bins import Bins
from spex_mech.decoders.spex.search import (
    Candidates,
    decode_bins,
    decode_pairs,
    scan_low_degree,
)
from spex_mech.designs.codes import xor_of
from spex_mech.designs.design import MaskDesign
from spex_mech.designs.spex import SpexStructure

_EVIDENCE = 4.0  # in standard errors, below which a term is not kept
_ROUNDING = 1e-11  # amplitudes below this share of the largest are rounding errors
_ROUNDS = 200
_SAMPLES_PER_TERM = 16
_FLIPS = 8  # least reliable signs that soft decoding flips in each bin, up to three at a time
_PAIRS = 1 << 14  # most pairs of bins to decode together
_SCAN = 1 << 19  # most sets for the matched filter: up to pairs of 1,000 players, triples of 100

_Stage = Callable[[Bins, Int64[np.ndarray, " k"]], Candidates]
_STAGES: tuple[_Stage, ...] = (
    partial(decode_bins, flips=0),
    partial(decode_bins, flips=_FLIPS),
    partial(decode_pairs, most=_PAIRS),
    lambda bins, active: scan_low_degree(bins, most=_SCAN),
)


def spex(
    design: MaskDesign,
    values: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    noise: float = 0.0,
) -> Spectrum:
    """Decode the values of a coded design into a sparse spectrum; nothing is drawn at random.

    The signs of a bin are read as a syndrome. If that is the syndrome of a set that belongs to that bin,
    the set is a candidate, and it is accepted when the bins that hold it in the *other* subsamplings
    agree. Accepted terms are fitted together by least squares and subtracted from all bins, and what is
    left is decoded again, until nothing changes: first by hard decoding, then by soft decoding, then in
    pairs of bins, then with a matched filter for every set of low degree. Terms that the fit does not
    support are dropped at the end. (The paper accepts what explains most of its own bin, and has neither
    pairs nor a matched filter.)

    A function that is not sparse is no error: the terms that were found are returned, and ``info`` says
    how little they explain.

    Args:
        design: made by `designs.spex`, its masks in their order.
        values: float64 (m,), the value of each mask.
        weights: float64 (m,), how many answers each value is the mean of; by default 1. Terms are found by a
            transform, which takes all masks alike. Where weights differ, the coefficients of the terms that
            were found are fitted once more, by weighted ridge regression.
        noise: variance of a single answer about its mask's value, which is taken off in ``explained``.

    Returns:
        Terms of degree at most the design's ``max_degree``. ``info`` holds ``method``, ``message``,
        ``explained`` (share of the variance of the values), ``noise`` (standard deviation of a value
        around the spectrum), ``bins`` and ``bins_explained`` (the number of bins of which the terms
        beside the constant explain half).

    Raises:
        InputError: a design of another kind, masks that are not the design's own, or values or weights of
            the wrong length or not finite.
    """
    structure = structure_of(design)
    values, weights = check_values(design, values), check_weights(design, weights)
    constant = constant_spectrum(design, values, "spex")
    if constant is not None:
        return constant
    observed = Bins.from_values(structure, values)
    most = max(len(observed.energy), values.size // _SAMPLES_PER_TERM)
    fit = _prune(observed, _peel(observed, _STAGES, most))
    words = xor_of(pack(np.eye(design.n, dtype=bool)), fit.sets)
    report = _report(observed, fit, float(np.mean(noise / weights)))
    found = Spectrum.from_words(words, fit.coefficients, design.n, report)
    return found if np.ptp(weights) == 0 else _reweighted(found, design, values, weights)


def structure_of(design: MaskDesign) -> SpexStructure:
    """The code behind a design.

    Raises:
        InputError: a design of another kind, or masks that are not those of its code.
    """
    structure = design.structure
    if not isinstance(structure, SpexStructure):
        raise InputError(
            f"the design is of kind {design.kind!r}, but the SPEX decoder needs the code of a design "
            "made by designs.spex; decode this one with method 'proxyspex'"
        )
    fits = structure.code.n == design.n and structure.rows.max() == len(design) - 1
    ends = np.append(0, 1 << np.arange(structure.b))
    for group, rows in enumerate(structure.rows):
        if not (fits and np.array_equal(design.masks[rows[:, ends]], structure.masks(group, ends))):
            raise InputError(
                "the design's masks are not those that its structure describes; "
                "use the design as designs.spex made it, masks in their order"
            )
    return structure


class _Fit(NamedTuple):
    sets: Int64[np.ndarray, "k t"]
    coefficients: Float64[np.ndarray, " k"]
    left: Bins


def _peel(observed: Bins, stages: tuple[_Stage, ...], most: int) -> Int64[np.ndarray, "k t"]:
    """Find terms until nothing changes; a later stage is tried when the earlier ones find nothing."""
    sets = np.full((1, observed.structure.max_degree), -1, dtype=np.int64)
    left, _ = observed.without(sets)
    floor = (_ROUNDING * np.abs(observed.amplitudes).max()) ** 2
    stage = 0
    for _ in range(_ROUNDS):
        active = np.flatnonzero(left.energy > floor)
        if not active.size or len(sets) > most or stage == len(stages):
            break
        new = _select(left, stages[stage](left, active), sets)
        if len(new):
            sets = np.concatenate([sets, new])
            left, _ = observed.without(sets)
        stage = 0 if len(new) else stage + 1
    return sets


def _select(
    left: Bins, candidates: Candidates, known: Int64[np.ndarray, "k t"]
) -> Int64[np.ndarray, "j t"]:
    """The sets with enough evidence, best first and one per bin; sets that share a bin come later."""
    evidence = candidates.evidence
    good = np.flatnonzero(evidence >= np.maximum(candidates.needed, _EVIDENCE))
    sets = candidates.sets[good[np.argsort(-evidence[good], kind="stable")]]
    taken = np.zeros(len(left.energy), dtype=bool)
    seen = set(map(bytes, known))
    new = []
    for row, places in zip(sets, left.places(sets), strict=True):
        if not taken[places].any() and bytes(row) not in seen:
            taken[places] = True
            new.append(row)
    return np.array(new, dtype=np.int64).reshape(-1, known.shape[1])


def _prune(observed: Bins, sets: Int64[np.ndarray, "k t"]) -> _Fit:
    """Drop terms that the joint fit does not support, and fit the others with a ridge.

    The ridge is that of a normal prior: the noise's variance over the mean square of the terms. The
    constant is not penalised, and stays if nothing else does.
    """
    floor = _ROUNDING * np.abs(observed.amplitudes).max()
    while True:
        left, coefficients = observed.without(sets)
        _, variances = left.matches(sets)
        error = np.sqrt(variances.mean(axis=1) / variances.shape[1])
        kept = np.abs(coefficients) > np.maximum(floor, _EVIDENCE * error)
        if kept.all():
            break
        sets = sets[kept] if kept.any() else np.full((1, sets.shape[1]), -1, dtype=np.int64)
        if not kept.any():
            break
    slopes = (sets >= 0).any(axis=1)
    if slopes.any():
        freedom = max(1, left.amplitudes.size - len(sets))
        noise = (left.amplitudes**2).sum() / freedom
        penalty = slopes * noise / np.mean(coefficients[slopes] ** 2)
        left, coefficients = observed.without(sets, ridge=penalty)
    else:
        left, coefficients = observed.without(sets)
    return _Fit(sets, coefficients, left)


def _reweighted(
    found: Spectrum,
    design: MaskDesign,
    values: Float64[np.ndarray, " m"],
    weights: Float64[np.ndarray, " m"],
) -> Spectrum:
    """The same terms with coefficients that were fitted to weighted values."""
    slopes = found.words[found.words.any(axis=1)]
    if not len(slopes):
        constant = np.zeros((1, found.words.shape[1]), dtype=np.uint64)
        return replace(
            found, words=constant, coefficients=np.array([np.average(values, weights=weights)])
        )
    fit = ridge(parities(design.masks, slopes), values, weights=weights)
    words = np.vstack([np.zeros((1, slopes.shape[1]), dtype=np.uint64), slopes])
    coefficients = np.append(fit.intercept, fit.coefficients)
    return Spectrum.from_words(words, coefficients, design.n, found.info)


def _report(observed: Bins, fit: _Fit, noise: float) -> dict[str, Any]:
    constant = np.full((1, fit.sets.shape[1]), -1, dtype=np.int64)
    centred, _ = observed.without(constant)
    left, spread = fit.left.energy.sum(), centred.energy.sum()
    taken = noise * observed.structure.groups
    explained = 1 - max(left - taken, 0.0) / (spread - taken) if spread > taken else 0.0
    count = int((fit.left.energy < centred.energy / 2).sum())
    total, terms = len(centred.energy), len(fit.sets)
    message = f"{terms} terms explain {explained:.1%} of the variance, and {count} of {total} bins"
    if explained < 0.5:
        message = (
            f"the spectrum does not look sparse at this budget: {message}. Use a larger budget, a "
            "design with a smaller max_degree, or uniform masks and another decoder"
        )
    return {
        "method": "spex",
        "message": message,
        "explained": float(explained),
        "noise": float(np.sqrt(fit.left.energy.mean() * (1 << observed.structure.b))),
        "bins": total,
        "bins_explained": count,
    }
