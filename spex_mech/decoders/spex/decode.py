"""SPEX: decode the values of a coded design by peeling (arXiv 2502.13870, algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64, Int64

from spex_mech.core.errors import InputError
from spex_mech.core.masks import pack
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.checks import check_values, constant_spectrum
from spex_mech.decoders.spex.bins import Bins
from spex_mech.decoders.spex.search import Found, decode_bins, decode_pairs, scan_low_degree
from spex_mech.designs.codes import xor_of
from spex_mech.designs.design import MaskDesign
from spex_mech.designs.spex import SpexStructure

# Evidence, in standard errors, below which a term is not kept.
_EVIDENCE = 4.0
# Amplitudes below this share of the largest are rounding.
_ROUNDING = 1e-11
_ROUNDS = 200
_SAMPLES_PER_TERM = 16


def spex(
    design: MaskDesign,
    values: npt.ArrayLike,
    *,
    seed: int = 0,
    flips: int = 8,
    pairs: int = 1 << 14,
    scan: int = 1 << 19,
    max_terms: int | None = None,
) -> Spectrum:
    """Decode the values of a coded design into a sparse spectrum.

    A bin whose signs spell the syndrome of a set that belongs to that bin proposes that set; it is
    believed when the bins that hold it in the *other* subsamplings agree. Terms that are believed are
    fitted together by least squares and taken out of all bins, and what is left is looked at again:
    first by hard decoding, then by soft decoding, then in pairs of bins, then with a matched filter
    for every set of low degree, until nothing changes. Terms that the fit does not support are
    dropped at the end. (The paper believes what explains most of its own bin, and has neither pairs
    nor a matched filter.)

    A function that is not sparse is no error: what was found is returned, and says so in ``info``.

    Args:
        design: made by `designs.spex`, its masks in their order.
        values: float64 (m,), the value of each mask.
        seed: accepted as by every decoder; nothing here is random.
        flips: how many of its least reliable signs soft decoding turns over in each bin, up to
            three at a time; 0 leaves hard decoding alone.
        pairs: largest number of pairs of bins to decode together; 0 leaves them out.
        scan: largest number of sets for the matched filter; 0 leaves it out. Whole degrees are
            taken while they fit, so 1,000 players are scanned up to pairs, 100 up to triples.
        max_terms: stop when more than this many terms are found; by default, one for each bin or for
            each 16 samples.

    Returns:
        Terms of degree at most the design's ``max_degree``. ``info`` holds ``method``, ``message``,
        ``explained`` (share of the variance of the values), ``noise`` (standard deviation of a value
        around the spectrum), ``bins`` and ``bins_explained`` (those of which terms, besides the
        constant, explain half).

    Raises:
        InputError: a design of another kind, masks that are not the design's own, values of the wrong
            length or not finite, or a setting below 0.
    """
    structure = _structure(design)
    if min(flips, pairs, scan, max_terms or 0) < 0:
        raise InputError(
            f"flips={flips}, pairs={pairs}, scan={scan} and max_terms={max_terms} cannot be "
            "negative; 0 leaves soft decoding, pairs or the matched filter out"
        )
    values = check_values(design, values)
    constant = constant_spectrum(design, values, "spex")
    if constant is not None:
        return constant
    observed = Bins.from_values(structure, values)
    stages: list[_Stage] = [partial(decode_bins, flips=0)]
    stages += [partial(decode_bins, flips=flips)] if flips else []
    stages += [partial(decode_pairs, most=pairs)] if pairs else []
    stages += [partial(scan_low_degree, most=scan)] if scan else []
    room = max(len(observed.energy), values.size // _SAMPLES_PER_TERM)
    most = room if max_terms is None else max_terms
    fit = _prune(observed, _peel(observed, stages, most))
    words = xor_of(pack(np.eye(design.n, dtype=bool)), fit.sets)
    info = _report(observed, fit)
    return Spectrum.from_words(words, fit.coefficients, design.n, info)


_Stage = Callable[[Bins, Int64[np.ndarray, " k"]], Found]


class _Fit(NamedTuple):
    sets: Int64[np.ndarray, "k t"]
    coefficients: Float64[np.ndarray, " k"]
    left: Bins


def _peel(observed: Bins, stages: list[_Stage], most: int) -> Int64[np.ndarray, "k t"]:
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


def _select(left: Bins, found: Found, known: Int64[np.ndarray, "k t"]) -> Int64[np.ndarray, "j t"]:
    """The sets with enough evidence, best first and one a bin: what shares a bin can wait."""
    good = np.flatnonzero(found.evidence >= np.maximum(found.needed, _EVIDENCE))
    order = good[np.argsort(-found.evidence[good], kind="stable")]
    sets = found.sets[order]
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


def _report(observed: Bins, fit: _Fit) -> dict[str, Any]:
    constant = np.full((1, fit.sets.shape[1]), -1, dtype=np.int64)
    centred, _ = observed.without(constant)
    explained = 1 - fit.left.energy.sum() / centred.energy.sum()
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


def _structure(design: MaskDesign) -> SpexStructure:
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
