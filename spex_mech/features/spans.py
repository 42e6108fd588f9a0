"""Spans: the stretches of a text that are its players."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from spex_mech.core.errors import InputError

LEVELS = ("token", "word", "sentence", "paragraph", "document")
_NAME = 28

_PARAGRAPH = re.compile(r"\S(?:.*?\S)?(?=[ \t]*\n[ \t]*\n|\s*\Z)", re.DOTALL)
# What may end a sentence: a mark with closing quotes or brackets, then a blank; or an ideographic mark.
_END = re.compile(r"[.!?…]+[\"'”’)\]»]*(?=\s)|[。！？]+[」』”]?|(?<=\S)(?=\s*\n)")
_OPENING = "\"'“‘([«¿¡"
_ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof st sr jr vs etc e.g i.e cf fig figs eq eqs no vol pp al approx dept est inc ltd "
    "co corp gen col sgt capt lt rev hon jan feb mar apr jun jul aug sep sept oct nov dec".split()
)


@dataclass(frozen=True, order=True)
class Span:
    """Characters ``start`` to ``stop`` (not included) of a text, counted from 0."""

    start: int
    stop: int


def split_text(text: str, level: str) -> list[Span]:
    """Cut a text into words, sentences or paragraphs; white space between them belongs to none.

    Words are stretches without white space, punctuation included. Sentences end at ``.``, ``!``,
    ``?``, ``…`` or their ideographic forms and at line breaks, but not after initials and common English
    abbreviations or before a small letter. Paragraphs are separated by blank lines.

    Args:
        text: any text.
        level: ``word``, ``sentence`` or ``paragraph``.

    Raises:
        InputError: a text without a word, or another level.
    """
    if not text.strip():
        raise InputError(f"the text is {text!r}, which has no word; give a text to explain")
    if level == "word":
        return [Span(m.start(), m.end()) for m in re.finditer(r"\S+", text)]
    if level == "paragraph":
        return [Span(m.start(), m.end()) for m in _PARAGRAPH.finditer(text)]
    if level == "sentence":
        return _sentences(text)
    raise InputError(
        f"level is {level!r}, expected one of {', '.join(LEVELS)}; 'token' needs a tokenizer and "
        "'document' a list of documents; or give level=[(start, stop), ...]"
    )


def find_spans(text: str, phrases: Iterable[str]) -> list[Span]:
    """Every occurrence of some words or phrases in a text, as whole words, in order.

    Raises:
        InputError: a phrase that is empty or not in the text.
    """
    spans: list[Span] = []
    for phrase in dict.fromkeys(phrases):
        pattern = rf"(?<!\w){re.escape(phrase)}(?!\w)"
        places = [Span(m.start(), m.end()) for m in re.finditer(pattern, text)] if phrase else []
        if not places:
            raise InputError(f"{phrase!r} is not in the text; give words as they stand there")
        spans += places
    return check_spans(text, spans)


def check_spans(text: str, spans: Iterable[Span | Sequence[int]]) -> list[Span]:
    """Spans in the order of the text.

    Args:
        text: the text they are taken from.
        spans: `Span` objects or pairs (start, stop).

    Raises:
        InputError: no spans, or one that is empty, blank, runs out of the text or overlaps another.
    """
    checked = []
    for item in spans:
        pair = (item.start, item.stop) if isinstance(item, Span) else tuple(item)
        if len(pair) != 2 or not all(type(x) is int for x in pair):
            raise InputError(f"span {item!r} is not a pair of whole numbers (start, stop)")
        span = Span(int(pair[0]), int(pair[1]))
        if not 0 <= span.start < span.stop <= len(text):
            raise InputError(
                f"span {pair} runs out of the text, which has {len(text)} characters; expected "
                f"0 <= start < stop <= {len(text)}"
            )
        if not text[span.start : span.stop].strip():
            raise InputError(f"span {pair} holds only white space; leave it out")
        checked.append(span)
    if not checked:
        raise InputError("there are no spans; give at least one (start, stop)")
    checked.sort()
    for a, b in itertools.pairwise(checked):
        if b.start < a.stop:
            raise InputError(
                f"spans ({a.start}, {a.stop}) and ({b.start}, {b.stop}) overlap; let each character "
                "belong to one span"
            )
    return checked


def span_names(text: str, spans: Sequence[Span]) -> list[str]:
    """A distinct readable name for each span: its text, shortened, with ``#2`` and so on for repeats."""
    seen: dict[str, int] = {}
    names = []
    for span in spans:
        words = " ".join(printable(text[span.start : span.stop]).split())
        short = words if len(words) <= _NAME else words[: _NAME - 1].rstrip() + "…"
        seen[short] = seen.get(short, 0) + 1
        names.append(short if seen[short] == 1 else f"{short} #{seen[short]}")
    # A text may itself hold "word #2".
    taken: set[str] = set()
    for i, _name in enumerate(names):
        while names[i] in taken:
            names[i] += "'"
        taken.add(names[i])
    return names


def printable(text: str) -> str:
    """The text with blanks for control characters, so that it cannot steer a terminal."""
    return "".join(c if unicodedata.category(c)[0] != "C" else " " for c in text)


def _sentences(text: str) -> list[Span]:
    spans, start = [], 0
    for end in _END.finditer(text):
        if end.end() > start and _ends_sentence(text, end):
            spans += _trimmed(text, start, end.end())
            start = end.end()
    return spans + _trimmed(text, start, len(text))


def _ends_sentence(text: str, end: re.Match[str]) -> bool:
    if not end[0] or end[0][0] not in ".…":
        return True
    after = text[end.end() :].lstrip()
    if after and after[0].islower():
        return False
    if end[0] != ".":
        return True
    before = text[: end.start()].rsplit(maxsplit=1)
    word = before[-1].lstrip(_OPENING) if before and not text[end.start() - 1].isspace() else ""
    initial = len(word) == 1 and word.isalpha() and word != "I"
    return not (initial or word.lower() in _ABBREVIATIONS)


def _trimmed(text: str, start: int, stop: int) -> list[Span]:
    """The span without white space at its ends, unless nothing is left."""
    while start < stop and text[start].isspace():
        start += 1
    while stop > start and text[stop - 1].isspace():
        stop -= 1
    return [Span(start, stop)] if start < stop else []


@dataclass(frozen=True)
class Passage:
    """A text and its players.

    Attributes:
        text: the text.
        spans: the characters of each player, in order.
    """

    text: str
    spans: tuple[Span, ...]

    def __repr__(self) -> str:
        words = " ".join(self.text.split())
        return f"Passage({words if len(words) <= 40 else words[:39] + '…'!r})"


@dataclass(frozen=True, eq=False)
class Picture:
    """An image and its players.

    Attributes:
        pixels: uint8 (h, w, 3), as the model sees it.
        regions: int (h, w), the player of each pixel; −1 everywhere in an image that stays whole.
    """

    pixels: npt.NDArray[np.uint8] = field(repr=False)
    regions: npt.NDArray[np.int64] = field(repr=False)

    @property
    def count(self) -> int:
        """Number of its players."""
        return int(self.regions.max()) + 1

    def __repr__(self) -> str:
        return f"Picture({self.pixels.shape[1]} x {self.pixels.shape[0]})"


@dataclass(frozen=True, eq=False)
class Pair:
    """An image and a text; the image's players come first."""

    picture: Picture
    passage: Passage
