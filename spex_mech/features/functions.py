"""Masked texts read by any function from texts to numbers, vectors or texts."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import cached_property
from numbers import Number
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from spex_mech.core.errors import InputError
from spex_mech.features.parts import TextParts
from spex_mech.features.values import Judge, judge_of, judged

Replier = Callable[[list[str]], Sequence[Any]]


class TextSource:
    """Masked texts as texts, for what reads texts rather than tokens.

    Args:
        parts: a text and its replacements.
        reader: what reads it, for errors.

    Raises:
        InputError: a removal by a token, which such a reader does not have.
    """

    def __init__(self, parts: TextParts, reader: str) -> None:
        if parts.stand_ins.kind in ("mask", "unknown"):
            raise InputError(
                f"removal is {parts.stand_ins.kind!r}, but {reader} reads texts, which have no such token; "
                "use removal='delete', or Removal('filler', filler='[MASK]')"
            )
        self._wording = wording = parts.wordings[0]
        self.counts = np.array([len(texts) for texts in parts.stand_ins.texts], dtype=np.int64)
        self.size = sum(len(v) for piece in wording.pieces for v in piece.versions)
        self.text_key = hashlib.sha256(repr(wording).encode()).hexdigest()

    @property
    def whole_text(self) -> str:
        """The text with all its parts."""
        return self._wording.compose(np.zeros_like(self.counts))

    def inputs(self, choices: Int64[np.ndarray, "m n"]) -> list[str]:
        """See `FeatureSource`."""
        return [self._wording.compose(choice) for choice in choices]

    def show(self, text: str, /) -> str:
        """The text itself."""
        return text


class FunctionSource(TextSource):
    """Masked texts, and a function's judged replies to them.

    Args:
        parts: a text and its replacements.
        reply: from a list of texts to one reply each.
        value: see `judge_of`.
        target: see `judge_of`.

    Raises:
        InputError: see `TextSource` and `judge_of`.
    """

    def __init__(
        self, parts: TextParts, reply: Replier, *, value: str | Judge | None, target: str | None
    ) -> None:
        super().__init__(parts, "a function of texts")
        self._reply = reply
        self._judge = judge_of(value, target, lambda: self._whole)
        self.key = {
            "function": fingerprint_of(reply),
            "judge": fingerprint_of(value) if callable(value) else str(value),
            "text": self.text_key,
        }

    @cached_property
    def _whole(self) -> Any:
        return self._replies([self.whole_text])[0]

    def outputs(self, inputs: Sequence[str]) -> Float64[np.ndarray, "u 1"]:
        """See `FeatureSource`."""
        return judged(self._judge, self._replies(list(inputs)))

    def _replies(self, texts: list[str]) -> list[Any]:
        reply = self._reply(texts)
        replies = [reply] if _is_single(reply) else _listed(reply)
        if len(replies) != len(texts):
            raise InputError(
                f"the function gave {len(replies)} replies to {len(texts)} texts; expected one reply to "
                "each text of a list (a function f of one text: lambda texts: [f(t) for t in texts])"
            )
        return replies


def _is_single(reply: Any) -> bool:
    """Whether something is one number or text, which will do as the replies to one text."""
    return isinstance(reply, (str, Number)) or getattr(reply, "ndim", None) == 0


def _listed(replies: Any) -> list[Any]:
    if isinstance(replies, (Mapping, Set, bytes)) or not isinstance(replies, Iterable):
        raise InputError(
            f"the function gave {type(replies).__name__} to a list of texts; expected a list, array or "
            "tensor of one reply each, in their order"
        )
    return list(replies)


def fingerprint_of(function: Callable[..., Any]) -> str:
    """A function's attribute ``fingerprint``, or else its name and source.

    The source does not show what a function refers to, such as a model's weights: where those may change,
    give the function a ``fingerprint``.
    """
    fingerprint = getattr(function, "fingerprint", None)
    if isinstance(fingerprint, str):
        return fingerprint
    name = (
        f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function))}"
    )
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = ""
    return f"{name} {hashlib.sha256(source.encode()).hexdigest()[:16]}"
