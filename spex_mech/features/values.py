"""From a model's outputs or replies to one number per input, higher = more of the target."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
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
        target: what the value is about, as text.
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
        target: a class by number or label; None for the class of the whole input.
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


def answer_texts(target: Any, *, strip: bool = False) -> list[str]:
    """An answer, or a list of answers, as a list of different texts.

    Args:
        target: the answer or answers.
        strip: whether white space at their ends makes no difference.

    Raises:
        InputError: no answer, one that is not a text, an empty one, or the same answer twice.
    """
    answers = [target] if isinstance(target, str) else target
    if not isinstance(answers, Sequence) or not all(isinstance(a, str) for a in answers):
        answers = []
    compared = {answer.strip() if strip else answer for answer in answers}
    if not compared or "" in compared:
        raise InputError(f"target is {target!r}, expected an answer or a list of answers, as texts")
    if len(compared) < len(answers):
        raise InputError(f"target has the same answer twice: {list(answers)}; give each once")
    return list(answers)


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
        classes = [c for c, label in labels.items() if label == target]
        if not classes and target.isdecimal() and int(target) < len(full):
            classes = [int(target)]
        if not classes:
            raise InputError(
                f"target is {target!r}, expected a class: {', '.join(labels.values())}"
            )
        return classes[0]
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


Judge = Callable[[Any], float]


def judge_of(value: str | Judge | None, target: str | None, whole: Callable[[], Any]) -> Judge:
    """How replies are turned into numbers.

    Args:
        value: None or ``number`` for replies that are numbers; ``match`` for 1 where the reply contains the
            target (as whole words, capitals aside) and else 0; ``similarity`` to the reply to the
            whole input; or a function from a reply to a number.
        target: of ``match``.
        whole: gives the reply to the whole input.

    Raises:
        InputError: a value that does not exist, or ``match`` without a target.
    """
    if callable(value):
        return value
    if value in (None, "number"):
        return _number
    if value == "match":
        if not target:
            raise InputError("value='match' needs target=, the text to look for in replies")
        pattern = re.compile(rf"(?<!\w){re.escape(target)}(?!\w)", re.IGNORECASE)
        return lambda reply: float(bool(pattern.search(_text(reply))))
    if value == "similarity":
        return lambda reply: similarity(reply, whole())
    raise InputError(
        f"value is {value!r}, expected 'number', 'match', 'similarity' or a function from a reply to a "
        "number"
    )


def similarity(reply: Any, whole: Any) -> float:
    """How alike two replies are: of texts the F1 of their words, of vectors their cosine.

    The F1 counts equal words as SQuAD does (Rajpurkar et al. 2016), without dropping articles.

    Raises:
        InputError: replies that are neither texts nor vectors of one length.
    """
    if isinstance(reply, str) and isinstance(whole, str):
        a, b = Counter(_words(reply)), Counter(_words(whole))
        if not a or not b:
            return float(a == b)
        same = (a & b).total()
        return 2 * same / (a.total() + b.total())
    x, y = _array(reply), _array(whole)
    if x.ndim != 1 or x.shape != y.shape or not {x.dtype.kind, y.dtype.kind} <= set("fiub"):
        raise InputError(
            f"replies of shapes {x.shape} and {y.shape} cannot be compared; value='similarity' needs "
            "texts or vectors of one length"
        )
    x, y = x.astype(np.float64), y.astype(np.float64)
    norms = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / norms if norms else float(np.array_equal(x, y))


def judged(judge: Judge, replies: Sequence[Any]) -> Float64[np.ndarray, "u 1"]:
    """One number per reply, (u, 1).

    Raises:
        InputError: a judgement that is not a number.
    """
    return np.array([[_number(judge(reply))] for reply in replies], dtype=np.float64).reshape(-1, 1)


def _number(reply: Any) -> float:
    array = _array(reply)
    if array.size != 1 or array.dtype.kind not in "fiub":
        raise InputError(
            f"a reply is {str(reply)[:80]!r}, expected a number; choose value='match', 'similarity' or "
            "a function from a reply to a number"
        )
    return float(array.reshape(()))


def _array(reply: Any) -> npt.NDArray[Any]:
    """A reply as an array, a tensor also with a gradient or on a GPU; of objects where it is no array."""
    if isinstance(reply, (list, tuple)) and any(hasattr(x, "detach") for x in reply):
        reply = [_array(x) for x in reply]
    elif detach := getattr(reply, "detach", None):
        reply = detach().cpu()
        reply = reply.double() if reply.is_floating_point() else reply  # NumPy has no bfloat16
    try:
        return np.asarray(reply)
    except ValueError:  # lists of unequal lengths
        return np.array(None)


def _text(reply: Any) -> str:
    if not isinstance(reply, str):
        raise InputError(f"a reply is {str(reply)[:80]!r}, expected a text")
    return reply


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
