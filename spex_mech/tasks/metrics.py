"""Metrics: from answer scores to one number per example. Higher is better for every metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from jaxtyping import Float32, Float64, Int64

from spex_mech.core.errors import InputError
from spex_mech.tasks.prompts import Prompts

_ROWS = 256  # float64 copies of their scores fit in a cache
_Measure = Callable[[npt.NDArray, npt.NDArray, npt.NDArray | None], npt.NDArray]


@dataclass(frozen=True)
class Metric:
    """One number per mask and example, from the answer scores.

    Attributes:
        name: the metric's name.
        needs_full: whether the full model's scores are needed as well.
    """

    name: str
    measure: _Measure
    needs_full: bool = False

    def __call__(
        self,
        scores: Float32[np.ndarray, "m e ..."],
        right: Int64[np.ndarray, " e"],
        full: Float32[np.ndarray, "1 e k"] | None = None,
    ) -> Float64[np.ndarray, "m e"]:
        """Measure scores (m, e, k), or (m, e) of sequences; ``right`` (e,) is the right column."""
        return self.measure(scores.astype(np.float64), right, full)


def metric_for(name: str, prompts: Prompts) -> Metric:
    """The metric of a name that these prompts allow.

    Questions with answers have

    - ``accuracy``: 1 where the right answer scores above every other; a tie is wrong.
    - ``accuracy_first``: 1 where the first of the highest scores is the right answer's, which is how
      lm-evaluation-harness counts (``acc``); the two differ on exact ties only.
    - ``margin``: the right answer's score minus the best score of another answer.
    - ``logprob``: log-probability of the right answer among the answers.
    - ``brier``: minus the Brier score of the probabilities of the answers.
    - ``kl``: minus the divergence from the full model's distribution over the answers, in nats.

    Answers of several tokens also have them with every score divided by the answer's length in
    characters: ``accuracy_norm``, ``accuracy_first_norm`` (the harness's ``acc_norm``),
    ``margin_norm``, ``logprob_norm``, ``brier_norm``, ``kl_norm``. Sequences without answers have
    ``logprob``.

    Raises:
        InputError: an unknown metric, or one that these prompts do not have.
    """
    known = _known(prompts)
    if name not in known:
        kind = "questions with answers" if prompts.has_answers else "sequences without answers"
        raise InputError(f"unknown metric {name!r} for {kind}; expected one of {', '.join(known)}")
    return known[name]


def row_by_row(
    values: Callable[[Float32[np.ndarray, "k e ..."]], npt.ArrayLike],
    scores: Float32[np.ndarray, "m e ..."],
) -> Float64[np.ndarray, " m"]:
    """``values(scores)`` of some rows at a time, since metrics work in float64 copies."""
    pieces = [scores[start : start + _ROWS] for start in range(0, len(scores), _ROWS)]
    return np.concatenate([np.asarray(values(piece), dtype=np.float64) for piece in pieces])


def _known(prompts: Prompts) -> Mapping[str, Metric]:
    if not prompts.has_answers:
        return _SEQUENCE
    if prompts.lengths is None:
        return CHOICE_METRICS
    normed = [_by_length(metric, prompts.lengths) for metric in CHOICE_METRICS.values()]
    return {**CHOICE_METRICS, **{metric.name: metric for metric in normed}}


def _by_length(metric: Metric, lengths: npt.NDArray[np.float64]) -> Metric:
    def measure(scores: npt.NDArray, right: npt.NDArray, full: npt.NDArray | None) -> npt.NDArray:
        scaled = None if full is None else full.astype(np.float64) / lengths
        return metric.measure(scores / lengths, right, scaled)

    return Metric(f"{metric.name}_norm", measure, metric.needs_full)


def _log_softmax(scores: npt.NDArray) -> npt.NDArray:
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _pick(scores: npt.NDArray, right: npt.NDArray) -> npt.NDArray:
    return np.take_along_axis(scores, right[None, :, None], axis=2)[..., 0]


def _margin(scores: npt.NDArray, right: npt.NDArray, full: npt.NDArray | None) -> npt.NDArray:
    wrong = scores.copy()
    np.put_along_axis(wrong, right[None, :, None], -np.inf, axis=2)
    return _pick(scores, right) - wrong.max(axis=2)


def _accuracy(scores: npt.NDArray, right: npt.NDArray, full: npt.NDArray | None) -> npt.NDArray:
    # A tie between the right and a wrong answer counts as wrong: an ablated model that answers the
    # same to everything earns nothing by the order of its options.
    return (_margin(scores, right, full) > 0).astype(np.float64)


def _accuracy_first(
    scores: npt.NDArray, right: npt.NDArray, full: npt.NDArray | None
) -> npt.NDArray:
    return (scores.argmax(axis=2) == right).astype(np.float64)


def _brier(scores: npt.NDArray, right: npt.NDArray, full: npt.NDArray | None) -> npt.NDArray:
    # Σ (p − y)² = Σ p² − 2 p_right + 1
    p = np.exp(_log_softmax(scores))
    return 2 * _pick(p, right) - (p**2).sum(axis=2) - 1


def _logprob(scores: npt.NDArray, right: npt.NDArray, full: npt.NDArray | None) -> npt.NDArray:
    return _pick(_log_softmax(scores), right)


def _kl(scores: npt.NDArray, right: npt.NDArray, full: npt.NDArray | None) -> npt.NDArray:
    if full is None:
        raise InputError("the kl metric needs the full model's scores")
    reference = _log_softmax(full.astype(np.float64))
    return (np.exp(reference) * (_log_softmax(scores) - reference)).sum(axis=2)


CHOICE_METRICS: Mapping[str, Metric] = {
    "accuracy": Metric("accuracy", _accuracy),
    "accuracy_first": Metric("accuracy_first", _accuracy_first),
    "margin": Metric("margin", _margin),
    "logprob": Metric("logprob", _logprob),
    "brier": Metric("brier", _brier),
    "kl": Metric("kl", _kl, needs_full=True),
}
"""Metrics of examples with one score per answer."""

_SEQUENCE = {"logprob": Metric("logprob", lambda scores, right, full: scores)}
