"""Masked texts read by any function from texts to numbers, vectors or texts."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from spex_mech.core.errors import InputError
from spex_mech.features.values import Judge, judge_of, judged
from spex_mech.features.wording import Removal, Wording

Replier = Callable[[list[str]], Sequence[Any]]


class CallableSource:
    """Masked texts as texts.

    Args:
        wording: the text and its replacements.
        removal: how parts are removed.
        reply: from a list of texts to one reply each.
        fingerprint: text that changes when the function does.
        value: see `judge_of`.
        target: see `judge_of`.

    Raises:
        InputError: a removal by a token, which a function that reads texts does not have.
    """

    def __init__(
        self,
        wording: Wording,
        removal: Removal,
        reply: Replier,
        *,
        fingerprint: str,
        value: str | Judge | None,
        target: str | None,
    ) -> None:
        if removal.kind in ("mask", "unknown"):
            raise InputError(
                f"removal is {removal.kind!r}, but a function of texts has no such token; use "
                "removal='filler' with filler='[MASK]', or 'delete'"
            )
        self._wording, self._reply = wording, reply
        self._judge = judge_of(value, target, lambda: self._whole)
        self.counts = np.array([len(texts) for texts in removal.texts], dtype=np.int64)
        self.size = sum(len(v) for piece in wording.pieces for v in piece.versions)
        self.key = {
            "function": fingerprint,
            "judge": fingerprint_of(value) if callable(value) else str(value),
            "text": hashlib.sha256(repr(wording).encode()).hexdigest(),
        }

    @cached_property
    def _whole(self) -> Any:
        return self._ask([self._wording.compose(np.zeros_like(self.counts))])[0]

    def inputs(self, choices: Int64[np.ndarray, "m n"]) -> list[str]:
        """See `Source`."""
        return [self._wording.compose(choice) for choice in choices]

    def outputs(self, inputs: Sequence[str]) -> Float64[np.ndarray, "u 1"]:
        """See `Source`."""
        return judged(self._judge, self._ask(list(inputs)))

    def show(self, given: str) -> str:
        """The text itself."""
        return given

    def _ask(self, texts: list[str]) -> list[Any]:
        replies = list(self._reply(texts))
        if len(replies) != len(texts):
            raise InputError(
                f"the function gave {len(replies)} replies to {len(texts)} texts; expected a function "
                "from a list of texts to one reply each"
            )
        return replies


def fingerprint_of(function: Callable[..., Any]) -> str:
    """What a function says it is, or its name and source.

    It does not see what a function refers to, such as a model's weights: where those may change, give
    ``fingerprint=``.
    """
    own = getattr(function, "fingerprint", None)
    if isinstance(own, str):
        return own
    name = (
        f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', type(function))}"
    )
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = ""
    return f"{name} {hashlib.sha256(source.encode()).hexdigest()[:16]}"
