"""From what a function or an endpoint replies (numbers, vectors or texts) to one number an input."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64

from spex_mech.core.errors import InputError

Judge = Callable[[Any], float]


def judge_of(value: str | Judge | None, target: str | None, whole: Callable[[], Any]) -> Judge:
    """How replies are turned into numbers.

    Args:
        value: None or ``number`` for replies that are numbers; ``match`` for 1 where the reply has the
            target in it (whole words, capitals aside) and else 0; ``similarity`` to the reply to the
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
    x, y = np.asarray(reply, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise InputError(
            f"replies of shapes {x.shape} and {y.shape} cannot be compared; value='similarity' needs "
            "texts or vectors of one length"
        )
    norms = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / norms if norms else float(np.array_equal(x, y))


def judged(judge: Judge, replies: Sequence[Any]) -> Float64[np.ndarray, "u 1"]:
    """One number a reply, (u, 1).

    Raises:
        InputError: a judgement that is not a number.
    """
    return np.array([[_number(judge(reply))] for reply in replies], dtype=np.float64).reshape(-1, 1)


def _number(reply: Any) -> float:
    array: npt.NDArray[Any] = np.asarray(reply)
    if array.size != 1 or array.dtype.kind not in "fiub":
        raise InputError(
            f"a reply is {str(reply)[:80]!r}, expected a number; choose value='match', 'similarity' or "
            "a function from a reply to a number"
        )
    return float(array.reshape(()))


def _text(reply: Any) -> str:
    if not isinstance(reply, str):
        raise InputError(f"a reply is {str(reply)[:80]!r}, expected a text")
    return reply


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())
