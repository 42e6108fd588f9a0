"""Which parts serve which questions, and which questions use the same parts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from spex_mech.core.short_repr import short_repr
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.gp.posterior import WalshPosterior
from spex_mech.decoders.gp.questions import effects
from spex_mech.decoders.stack.predictor import StackPredictor

_MOST_GROUPS = 6
_CLEAR = 0.25  # mean silhouette from which questions are said to fall into groups


@short_repr
@dataclass(frozen=True, eq=False)
class QuestionEffects:
    """What each part is worth to each question.

    Attributes:
        effects: float64 (n, e), the mean change of a question's value when the part is present, the others
            being present at the design's keep rates; positive = helps.
        order: int64 (e,), the questions in an order in which similar ones stand together.
        groups: int64 (e,), the group of each question, 0, 1, ... in the order of ``order``; all 0 where
            questions do not fall into groups.
    """

    effects: Float64[np.ndarray, "n e"]
    order: Int64[np.ndarray, " e"]
    groups: Int64[np.ndarray, " e"]


def question_effects(spectrum: Spectrum) -> QuestionEffects | None:
    """The effects of parts on single questions; None of a spectrum that was decoded from whole masks."""
    predictor = spectrum.predictor
    if isinstance(predictor, StackPredictor):
        gp = next((m.posterior for m in predictor.members if m.posterior is not None), None)
        table = None if gp is None or gp.asking is None else predictor.question_effects()
    elif isinstance(predictor, WalshPosterior) and predictor.asking is not None:
        table = effects(predictor)
    else:
        table = None
    return None if table is None else QuestionEffects(table, *grouped(table))


def grouped(
    table: Float64[np.ndarray, "n e"],
) -> tuple[Int64[np.ndarray, " e"], Int64[np.ndarray, " e"]]:
    """Group questions whose effects are correlated over parts, after the mean over questions is taken off.

    Average linkage on 1 - correlation. The number of groups, up to 6, is the one with the highest mean
    silhouette (Rousseeuw 1987); where that is below .25 there is one group.

    Args:
        table: float64 (n, e).

    Returns:
        ``order`` and ``groups`` of `QuestionEffects`.
    """
    from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
    from scipy.spatial.distance import squareform

    count = table.shape[1]
    left = table - table.mean(axis=1, keepdims=True)
    size = np.linalg.norm(left, axis=0)
    if count < 3 or not size.all():
        return np.arange(count), np.zeros(count, dtype=np.int64)
    distance = np.clip(1.0 - (left / size).T @ (left / size), 0.0, 2.0)
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), method="average", optimal_ordering=True)
    order = leaves_list(tree).astype(np.int64)
    best, groups = _CLEAR, np.zeros(count, dtype=np.int64)
    for number in range(2, min(_MOST_GROUPS, count - 1) + 1):
        labels = fcluster(tree, number, criterion="maxclust")
        found = _silhouette(distance, labels)
        if found > best:
            best, groups = found, labels
    _, first = np.unique(groups[order], return_index=True)
    names = groups[order][np.sort(first)]
    return order, np.array([int(np.flatnonzero(names == g)[0]) for g in groups])


def _silhouette(distance: Float64[np.ndarray, "e e"], labels: Int64[np.ndarray, " e"]) -> float:
    """Mean silhouette; 0 of a question that is alone in its group."""
    member = (labels[:, None] == np.unique(labels)[None, :]).astype(float)
    counts = member.sum(axis=0)
    total = distance @ member
    own = member.astype(bool)
    within = total[own] / np.maximum(counts[own.argmax(axis=1)] - 1, 1)
    others = np.where(own, np.inf, total / counts).min(axis=1)
    alone = counts[own.argmax(axis=1)] == 1
    value = (others - within) / np.maximum(np.maximum(others, within), 1e-12)
    return float(np.where(alone, 0.0, value).mean())
