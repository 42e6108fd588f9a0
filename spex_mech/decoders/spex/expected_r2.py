"""What R² to expect of a SPEX decoding, from the masks of the coded design alone."""

from __future__ import annotations

from math import comb, log

import numpy as np
from jaxtyping import Float64, Int64

from spex_mech.core.faithfulness import faithfulness
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.spex.decode import spex, structure_of
from spex_mech.designs.design import MaskDesign
from spex_mech.designs.spex import SpexStructure


def spex_r2(design: MaskDesign, values: Float64[np.ndarray, " m"], spectrum: Spectrum) -> float:
    """R² to expect on random masks: the larger of two cautious estimates.

    - The R² on the last subsampling, predicted by a decoding of the others. With three subsamplings,
      two are left, which are harder to decode.
    - The share of the variance that ``spectrum`` explains, less what choosing its s terms among all N of
      their degree explains of mere noise in M masks: 1 - (1 - explained) (1 + 2 s ln N / M) (the risk
      inflation criterion of Foster and George 1994).
    """
    structure = structure_of(design)
    sets = sum(comb(design.n, k) for k in range(1, structure.max_degree + 1))
    terms = int(spectrum.words.any(axis=1).sum())
    explained = float(spectrum.info.get("explained", 0.0))
    penalty = 1.0 + 2.0 * terms * log(max(sets, 2)) / len(design)
    return max(1.0 - (1.0 - explained) * penalty, _left_out(design, structure, values))


def subsampling_of(design: MaskDesign) -> Int64[np.ndarray, " m"]:
    """The first subsampling that holds each mask of a coded design."""
    structure = structure_of(design)
    out = np.full(len(design), structure.groups, dtype=np.int64)
    for group, rows in enumerate(structure.rows):
        np.minimum.at(out, rows.ravel(), group)
    return out


def _left_out(
    design: MaskDesign, structure: SpexStructure, values: Float64[np.ndarray, " m"]
) -> float:
    """R² on the last subsampling's own masks, decoded from the others; -inf if it cannot be measured."""
    known = subsampling_of(design) < structure.groups - 1
    if known.all() or not np.ptp(values[~known]) > 0:
        return -np.inf
    row = np.cumsum(known) - 1
    part = SpexStructure(
        structure.hashes[:-1], structure.offsets[:-1], structure.code, structure.b,
        row[structure.rows[:-1]],
    )  # fmt: skip
    rest = MaskDesign(design.masks[known], design.seed, design.kind, design.keep_rates, part)
    return faithfulness(spex(rest, values[known]), design.masks[~known], values[~known])
