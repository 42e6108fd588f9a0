"""How good an answer is, measured against a complete game."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from methods import Answer

from spex_mech.core.faithfulness import faithfulness
from spex_mech.core.interactions import interactions
from spex_mech.core.masks import all_masks, pack
from spex_mech.core.spectrum import Spectrum
from spex_mech.core.transform import exact_spectrum

COLUMNS = ("r2", "recall_fourier", "recall_fbii", "error_shapley", "error_sii")
Table = Mapping[tuple[int, ...], float]


@dataclass(frozen=True)
class Truth:
    """The exact answers of a game."""

    table: np.ndarray
    masks: np.ndarray
    fourier: set[tuple[int, ...]]
    fbii: set[tuple[int, ...]]
    shapley: Table
    sii: Table


def exact(table: np.ndarray) -> Truth:
    """Exact spectrum and indices of a complete game."""
    spectrum = exact_spectrum(table)
    return Truth(
        table,
        all_masks(spectrum.n),
        {s for s, _ in spectrum.top(10)},
        _top_fbii(spectrum),
        interactions(spectrum, "Shapley").values,
        _pairs(interactions(spectrum, "SII", 2).values),
    )


def score(answer: Answer, truth: Truth) -> dict[str, float]:
    """R² on the masks not seen, recalls of the exact top 10, relative errors in the 2-norm."""
    out: dict[str, float] = {}
    indices = dict(answer.indices)
    if (spectrum := answer.spectrum) is not None:
        unseen = np.ones(len(truth.table), dtype=bool)
        unseen[pack(answer.seen)[:, 0].astype(np.int64)] = False
        out["r2"] = faithfulness(spectrum, truth.masks[unseen], truth.table[unseen])
        out["recall_fourier"] = len(truth.fourier & {s for s, _ in spectrum.top(10)}) / 10
        out["recall_fbii"] = len(truth.fbii & _top_fbii(spectrum)) / 10
        indices = {
            "Shapley": interactions(spectrum, "Shapley").values,
            "SII": interactions(spectrum, "SII", 2).values,
        }
    if "Shapley" in indices:
        out["error_shapley"] = _distance(indices["Shapley"], truth.shapley)
    if "SII" in indices:
        out["error_sii"] = _distance(_pairs(indices["SII"]), truth.sii)
    return out


def _top_fbii(spectrum: Spectrum) -> set[tuple[int, ...]]:
    return {s for s, _ in interactions(spectrum, "FBII", 3).top(10)}


def _pairs(values: Table) -> Table:
    return {s: v for s, v in values.items() if len(s) == 2}


def _distance(found: Table, true: Table) -> float:
    keys = sorted(set(found) | set(true))
    difference = np.array([found.get(k, 0.0) - true.get(k, 0.0) for k in keys])
    return float(np.linalg.norm(difference) / np.linalg.norm(list(true.values())))
