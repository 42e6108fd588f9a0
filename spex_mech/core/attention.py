"""`AttentionPattern`: what some heads of a model attend to in one question, with the tokens as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

from spex_mech.core.errors import InputError
from spex_mech.core.short_repr import short_repr

_DIGITS = 4  # of a weight in a file


@short_repr
@dataclass(frozen=True, eq=False)
class AttentionPattern:
    """Attention weights of some heads in one question.

    Attributes:
        heads: names of the heads, h of them, such as ``L3H5``.
        tokens: the question's tokens as text, t of them.
        weights: float32 (h, r, t), from the last r positions to every token; each row sums to 1. r is t, or 1
            where only the last position was kept.

    Raises:
        InputError: shapes that do not agree.
    """

    heads: tuple[str, ...]
    tokens: tuple[str, ...]
    weights: Float32[np.ndarray, "h r t"]

    def __post_init__(self) -> None:
        h, t = len(self.heads), len(self.tokens)
        if self.weights.shape not in ((h, t, t), (h, 1, t)) or not h or not t:
            raise InputError(
                f"the weights have shape {self.weights.shape}, expected ({h}, {t}, {t}) or ({h}, 1, {t}) for "
                f"{h} heads and {t} tokens, one or more of each"
            )

    @property
    def last(self) -> AttentionPattern:
        """The same heads, from the last position only: what they fetch for the answer."""
        return AttentionPattern(self.heads, self.tokens, self.weights[:, -1:])

    def of(self, heads: Sequence[str]) -> AttentionPattern:
        """The pattern of some of the heads, in the order given.

        Raises:
            InputError: a head that is not here.
        """
        missing = [head for head in heads if head not in self.heads]
        if missing:
            raise InputError(f"the pattern has no head {missing[0]!r}; it has {list(self.heads)}")
        rows = [self.heads.index(head) for head in heads]
        return AttentionPattern(tuple(heads), self.tokens, self.weights[rows])

    def strongest(self, head: str, most: int = 2) -> list[tuple[str, float]]:
        """The tokens that a head attends to most from the last position, with their weights."""
        row = self.of([head]).weights[0, -1]
        order = np.argsort(-row, kind="stable")[:most]
        return [(self.tokens[i], float(row[i])) for i in order]


def pattern_to_json(pattern: AttentionPattern) -> dict[str, Any]:
    """A pattern as JSON, weights with four digits after the point."""
    weights = np.round(pattern.weights.astype(np.float64), _DIGITS).tolist()
    return {"heads": list(pattern.heads), "tokens": list(pattern.tokens), "weights": weights}


def pattern_from_json(content: Mapping[str, Any]) -> AttentionPattern:
    """The pattern that `pattern_to_json` wrote.

    Raises:
        ValueError: weights that are no numbers from 0 to 1, or of another shape.
        KeyError: something is missing.
    """
    weights = np.asarray(content["weights"], dtype=np.float32)
    if not ((weights >= 0) & (weights <= 1)).all():
        raise ValueError("weights are not all from 0 to 1")
    names = (tuple(str(name) for name in content[key]) for key in ("heads", "tokens"))
    heads, tokens = names
    return AttentionPattern(heads, tokens, weights)
