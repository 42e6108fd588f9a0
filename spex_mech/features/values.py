"""What is read off a model's output: one number an input, higher = more of what is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.special import logsumexp

from spex_mech.core.errors import InputError
from spex_mech.features.spans import printable

Outputs = Float64[np.ndarray, "u k"]
_MOST_SURE = -1e-15  # log-probability above which log-odds stop growing


@dataclass(frozen=True, eq=False)
class Reading:
    """A value read off outputs (u, k).

    Attributes:
        name: the value's name.
        target: what it is about, as text.
        read: from outputs (u, k) to float64 (u,).
    """

    name: str
    target: str
    read: Callable[[Outputs], Float64[np.ndarray, " u"]]

    def __call__(self, outputs: Outputs) -> Float64[np.ndarray, " u"]:
        """Values (u,) of outputs (u, k)."""
        return self.read(outputs)

    @property
    def label(self) -> str:
        """What views call the value."""
        return " ".join(printable(f"{self.name} of {self.target}").split())


def class_reading(
    name: str | None,
    target: int | str | None,
    full: Float64[np.ndarray, " k"],
    labels: Mapping[int, str],
) -> Reading:
    """A value of a classifier's logits.

    Args:
        name: ``logit`` (the default), ``margin`` (over the best other class), ``logprob``, ``logodds``,
            ``probability``, or ``similarity``: minus the divergence KL(whole input || input) of the
            classes' probabilities, in nats.
        target: a class by number or label; None for the one that the whole input gets.
        full: float64 (k,), logits of the whole input.
        labels: the classes' names.

    Raises:
        InputError: a value or class that does not exist, or a comparison of a single class.
    """
    name = _known(
        name or "logit", ("logit", "margin", "logprob", "logodds", "probability", "similarity")
    )
    if name == "similarity":
        return Reading(name, "the whole input", lambda z: -_divergence(full, z))
    c = _class(target, full, labels)
    if len(full) == 1 and name != "logit":
        raise InputError(f"value is {name!r} but the model has a single output; use value='logit'")
    others = np.arange(len(full)) != c
    reads: Mapping[str, Callable[[Outputs], Float64[np.ndarray, " u"]]] = {
        "logit": lambda z: z[:, c],
        "margin": lambda z: z[:, c] - z[:, others].max(axis=1),
        "logprob": lambda z: z[:, c] - logsumexp(z, axis=1),
        "logodds": lambda z: z[:, c] - logsumexp(z[:, others], axis=1),
        "probability": lambda z: np.exp(z[:, c] - logsumexp(z, axis=1)),
    }
    return Reading(name, str(labels.get(c, c)), reads[name])


def answer_reading(name: str | None, answers: Sequence[str]) -> Reading:
    """A value of the log-probabilities of answers (continuations), of which the first is asked about.

    Args:
        name: ``logprob`` (the default with one answer), ``logodds``, ``margin`` (over the best other
            answer; the default with several), ``probability`` (with several answers, among them) or
            ``similarity``, which outputs hold already.
        answers: the answers.

    Raises:
        InputError: a value that does not exist, or a margin of a single answer.
    """
    default = "margin" if len(answers) > 1 else "logprob"
    name = _known(name or default, ("logprob", "logodds", "margin", "probability", "similarity"))
    if name == "margin" and len(answers) < 2:
        raise InputError(
            f"value is 'margin' but there is one answer, {answers[0]!r}; give target=[right, wrong, ...]"
        )
    reads: Mapping[str, Callable[[Outputs], Float64[np.ndarray, " u"]]] = {
        "logprob": lambda p: p[:, 0],
        "logodds": lambda p: _log_odds(p[:, 0]),
        "margin": lambda p: p[:, 0] - p[:, 1:].max(axis=1),
        "probability": lambda p: np.exp(
            p[:, 0] - (logsumexp(p, axis=1) if p.shape[1] > 1 else 0.0)
        ),
        "similarity": lambda p: p[:, 0],
    }
    compared = name in ("margin", "probability") and len(answers) > 1
    others = f" over {' / '.join(answers[1:])}" if compared else ""
    return Reading(name, answers[0] + others, reads[name])


def _known(name: str, names: Sequence[str]) -> str:
    if name not in names:
        raise InputError(f"value is {name!r}, expected one of {', '.join(names)}")
    return name


def _class(
    target: int | str | None, full: Float64[np.ndarray, " k"], labels: Mapping[int, str]
) -> int:
    if target is None:
        return int(full.argmax())
    if isinstance(target, str):
        found = [c for c, label in labels.items() if label == target]
        if not found and target.isdecimal() and int(target) < len(full):
            found = [int(target)]
        if not found:
            raise InputError(
                f"target is {target!r}, expected a class: {', '.join(labels.values())}"
            )
        return found[0]
    if isinstance(target, bool) or not isinstance(target, (int, np.integer)):
        raise InputError(f"target is {target!r}, expected a class by number or label")
    if not 0 <= target < len(full):
        raise InputError(f"target is {target}, expected a class from 0 to {len(full) - 1}")
    return int(target)


def _divergence(full: Float64[np.ndarray, " k"], logits: Outputs) -> Float64[np.ndarray, " u"]:
    """KL(p || q) in nats, p from ``full`` and q from each row."""
    p, q = full - logsumexp(full), logits - logsumexp(logits, axis=1, keepdims=True)
    return (np.exp(p) * (p - q)).sum(axis=1)


def _log_odds(p: Float64[np.ndarray, " u"]) -> Float64[np.ndarray, " u"]:
    p = np.minimum(p, _MOST_SURE)
    return p - np.log(-np.expm1(p))
