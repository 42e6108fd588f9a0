"""`Wording`: a text in parts, each of which may be left out or replaced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from spex_mech.core.errors import InputError
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


KINDS = ("delete", "mask", "unknown", "filler", "replace")

Replacements = Mapping[str | int, str | Sequence[str]] | Sequence[str | Sequence[str]]


@dataclass(frozen=True)
class Removal:
    """How parts are removed.

    Attributes:
        kind: ``delete``, ``mask``, ``unknown``, ``filler`` or ``replace``.
        texts: what may stand in each part's place, one or more texts a part; ``("",)`` where it is
            deleted. Of ``mask`` and ``unknown``, which put a token in each token's place, it is empty.
    """

    kind: str
    texts: tuple[tuple[str, ...], ...]

    @property
    def random(self) -> bool:
        """Whether a part has several replacements, so that a seed matters."""
        return any(len(set(choices)) > 1 for choices in self.texts)


def removal_of(
    kind: str | None,
    parts: Sequence[str],
    *,
    filler: str = "…",
    replacements: Replacements | None = None,
) -> Removal:
    """Settle how the parts of a text are removed.

    Args:
        kind: one of ``delete``, ``mask``, ``unknown``, ``filler``, ``replace``; None is ``replace``
            where there are replacements and else ``delete``.
        parts: the parts' own texts.
        filler: what ``filler`` puts in place of each part.
        replacements: of ``replace``: by part's text (tried as it stands, then in small letters) or
            number, or one entry a part; each a text or several.

    Raises:
        InputError: an unknown kind, or parts without a replacement.
    """
    kind = kind or ("delete" if replacements is None else "replace")
    if kind not in KINDS:
        raise InputError(f"removal is {kind!r}, expected one of {', '.join(KINDS)}")
    if (kind == "replace") != (replacements is not None):
        raise InputError(
            f"removal is {kind!r} and replacements are {'' if replacements else 'not '}given; "
            "removal='replace' needs replacements={'word': ['synonym', ...]}, the others have none"
        )
    if kind in ("mask", "unknown"):
        return Removal(kind, ())
    if kind != "replace":
        return Removal(kind, (("" if kind == "delete" else filler,),) * len(parts))
    found = [_choices(replacements, i, part) for i, part in enumerate(parts)]
    missing = [part for part, choices in zip(parts, found, strict=True) if not choices]
    if missing:
        some = ", ".join(repr(part) for part in missing[:5])
        raise InputError(
            f"{len(missing)} of {len(parts)} parts have no replacement ({some}); give every part at "
            "least one, or take only those that have some: "
            "spans=sm.features.find_spans(text, replacements)"
        )
    return Removal("replace", tuple(found))


def _choices(given: Replacements | None, i: int, part: str) -> tuple[str, ...]:
    if isinstance(given, Mapping):
        choices = next((given[k] for k in (i, part, part.lower()) if k in given), ())
    else:
        choices = given[i] if given is not None and i < len(given) else ()
    texts = (choices,) if isinstance(choices, str) else tuple(choices)
    if not all(isinstance(text, str) for text in texts):
        raise InputError(f"replacements of {part!r} are {choices!r}, expected texts")
    return texts
