"""`Wording`: a text in parts, each of which may be left out or replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from spex_mech.features.spans import Span


@dataclass(frozen=True)
class Piece:
    """A stretch of text.

    Attributes:
        part: number of the part it belongs to; −1 if it always stays.
        blank: white space before it, which is left out when nothing of the text stands before it.
        versions: its own text, then its replacements; empty text where it is left out.
    """

    part: int
    blank: str
    versions: tuple[str, ...]


@dataclass(frozen=True)
class Wording:
    """A text in pieces, between a beginning and an end that always stay.

    Attributes:
        before: what always stands before the text.
        pieces: the text's pieces in order.
        after: what always stands after it.
    """

    before: str
    pieces: tuple[Piece, ...]
    after: str

    def compose(self, choice: Int64[np.ndarray, " n"]) -> str:
        """The text with the given version of every part (0 = its own text)."""
        chosen = [0, *choice.tolist()]
        there = [
            (piece.blank, text)
            for piece in self.pieces
            if (text := piece.versions[chosen[piece.part + 1]])
        ]
        body = "".join([blank + text for blank, text in there])
        return self.before + (body[len(there[0][0]) :] if there else "") + self.after


def wording_of(
    text: str,
    spans: Sequence[Span],
    choices: Sequence[Sequence[str]],
    *,
    before: str = "",
    after: str = "",
    first: int = 0,
) -> Wording:
    """Cut a text at its spans.

    The white space before a span belongs to it and goes with it; other text between spans always stays.

    Args:
        text: the text.
        spans: its parts, in order.
        choices: the replacements of each part, without its own text.
        before: what always stands before the text.
        after: what always stands after it.
        first: number of the first part.
    """
    pieces: list[Piece] = []
    at = len(text) - len(text.lstrip())
    if at:
        pieces.append(Piece(-1, "", (text[:at],)))
    for i, (span, texts) in enumerate(zip(spans, choices, strict=True), start=first):
        start = blank_start(text, at, span.start)
        if start > at:
            pieces.append(_fixed(text[at:start]))
        own = text[span.start : span.stop]
        pieces.append(Piece(i, text[start : span.start], (own, *texts)))
        at = span.stop
    if at < len(text):
        pieces.append(_fixed(text[at:]))
    return Wording(before, tuple(pieces), after)


def blank_start(text: str, low: int, stop: int) -> int:
    """Where the white space before ``stop`` begins, no earlier than ``low``."""
    while stop > low and text[stop - 1].isspace():
        stop -= 1
    return stop


def _fixed(text: str) -> Piece:
    body = text.lstrip()
    return Piece(-1, text[: len(text) - len(body)], (body,)) if body else Piece(-1, "", (text,))
