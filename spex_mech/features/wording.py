"""`Wording`: a text in parts, each of which may be left out or replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from spex_mech.core.errors import InputError
from spex_mech.features.options import Removal, Replacements
from spex_mech.features.spans import Span

KINDS = ("delete", "mask", "unknown", "filler", "replace")


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
        present = [
            (piece.blank, text)
            for piece in self.pieces
            if (text := piece.versions[chosen[piece.part + 1]])
        ]
        body = "".join([blank + text for blank, text in present])
        return self.before + (body[len(present[0][0]) :] if present else "") + self.after


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
        start = at + len(text[at : span.start].rstrip())
        if start > at:
            pieces.append(_fixed(text[at:start]))
        versions = (text[span.start : span.stop], *texts)
        pieces.append(Piece(i, text[start : span.start], versions))
        at = span.stop
    if at < len(text):
        pieces.append(_fixed(text[at:]))
    return Wording(before, tuple(pieces), after)


def _fixed(text: str) -> Piece:
    body = text.lstrip()
    return Piece(-1, text[: len(text) - len(body)], (body,)) if body else Piece(-1, "", (text,))


@dataclass(frozen=True)
class StandIns:
    """What stands in the place of removed parts.

    Attributes:
        kind: ``delete``, ``mask``, ``unknown``, ``filler`` or ``replace``.
        texts: what may stand in each part's place, one or more texts per part; ``("",)`` where it is
            deleted. Empty for ``mask`` and ``unknown``, which put a token in each token's place.
    """

    kind: str
    texts: tuple[tuple[str, ...], ...]


def stand_ins(removal: Removal, parts: Sequence[str]) -> StandIns:
    """What stands in the place of the parts of a text when they are removed.

    Args:
        removal: how they are removed.
        parts: the parts' own texts.

    Raises:
        InputError: an unknown kind, or parts without a replacement.
    """
    replacements = removal.replacements
    kind = removal.kind or ("delete" if replacements is None else "replace")
    if kind not in KINDS:
        raise InputError(f"removal is {kind!r}, expected one of {', '.join(KINDS)}")
    if kind != "replace":
        if replacements is not None:
            raise InputError(
                f"removal is {kind!r}, but there are replacements; leave one of them out"
            )
        texts = {"delete": "", "filler": removal.filler}
        return StandIns(kind, ((texts[kind],),) * len(parts) if kind in texts else ())
    if replacements is None:
        raise InputError(
            "removal is 'replace', which needs replacements, as in "
            "Removal(replacements={'word': ['synonym', ...]})"
        )
    choices = tuple(_choices(replacements, i, part) for i, part in enumerate(parts))
    missing = [part for part, texts in zip(parts, choices, strict=True) if not texts]
    if missing:
        some = ", ".join(repr(part) for part in missing[:5])
        raise InputError(
            f"{len(missing)} of {len(parts)} parts have no replacement ({some}); give every part at "
            "least one, or take only those that have some: "
            "level=sm.features.find_spans(text, replacements)"
        )
    return StandIns(kind, choices)


def _choices(replacements: Replacements, i: int, part: str) -> tuple[str, ...]:
    if isinstance(replacements, Mapping):
        keys = [key for key in (i, part, part.lower()) if key in replacements]
        choices = replacements[keys[0]] if keys else ()
    else:
        choices = replacements[i] if i < len(replacements) else ()
    texts = (choices,) if isinstance(choices, str) else tuple(choices)
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"replacements of {part!r} are {choices!r}, expected texts")
    return texts
