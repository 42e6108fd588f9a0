"""Cutting one text, or a pair of texts, into parts that may go missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.features.options import Level, Removal, TextPair
from spex_mech.features.spans import Passage, Span, check_spans, split_text
from spex_mech.features.wording import StandIns, Wording, stand_ins, wording_of

_BETWEEN = "\n\n"  # what stands between documents, and in views between the texts of a pair


@dataclass(frozen=True)
class CutText:
    """A text and how it is cut.

    Attributes:
        text: the text.
        level: what a part is; None where the text stays whole.
        documents: where the documents stand that it is joined of; none for a single text.
    """

    text: str
    level: Level
    documents: tuple[Span, ...] = ()


@dataclass(frozen=True)
class TextParts:
    """Texts in parts.

    Attributes:
        passage: the texts one after the other, for views.
        wordings: each text with the replacements of its parts, which are numbered through.
        stand_ins: what stands in the place of removed parts.
    """

    passage: Passage
    wordings: tuple[Wording, ...]
    stand_ins: StandIns


def cut_texts(text: str | Sequence[str] | TextPair, level: Level) -> list[CutText]:
    """A text, or both texts of a pair, with the level of each; documents are joined.

    Raises:
        InputError: a list without documents, or with an empty one; texts that all stay whole.
    """
    if not isinstance(text, TextPair):
        if level is None:
            raise InputError("level is None, which keeps the text whole; that goes with a TextPair")
        return [_joined(text, level)]
    second_level = level if text.level == "same" else text.level
    if level is None and second_level is None:
        raise InputError("both texts stay whole; give a level to one of them, as in level='word'")
    return [_joined(text.first, level), CutText(text.second, second_level)]


def part_texts(
    cuts: Sequence[CutText],
    removal: Removal,
    around: tuple[str, str] = ("", ""),
    tokenizer: Any | None = None,
) -> TextParts:
    """Cut one text or a pair of texts.

    Args:
        cuts: the texts.
        removal: how parts are removed.
        around: what always stands before and after the first text.
        tokenizer: for the level ``token``.

    Raises:
        InputError: a text without a word, spans that overlap or run out, an unknown level or removal.
    """
    ends = [around, *[("", "")] * (len(cuts) - 1)]
    spans = [_spans(cut, tokenizer, *end) for cut, end in zip(cuts, ends, strict=True)]
    texts = [c.text[s.start : s.stop] for c, part in zip(cuts, spans, strict=True) for s in part]
    removed = stand_ins(removal, texts)
    replacements = removed.texts or ((),) * len(texts)
    wordings, positions, start, first = [], [], 0, 0
    for cut, part, (before, after) in zip(cuts, spans, ends, strict=True):
        of_part = replacements[first : first + len(part)]
        wordings.append(
            wording_of(cut.text, part, of_part, before=before, after=after, first=first)
        )
        positions += [Span(start + s.start, start + s.stop) for s in part]
        start += len(cut.text) + len(_BETWEEN)
        first += len(part)
    passage = Passage(_BETWEEN.join(cut.text for cut in cuts), tuple(positions))
    return TextParts(passage, tuple(wordings), removed)


def _joined(text: str | Sequence[str], level: Level) -> CutText:
    if isinstance(text, str):
        return CutText(text, level)
    documents = list(text)
    if not documents or not all(isinstance(d, str) and d.strip() for d in documents):
        raise InputError("a list of documents needs at least one, and none of them empty")
    spans, at = [], 0
    for document in documents:
        lead = len(document) - len(document.lstrip())
        spans.append(Span(at + lead, at + len(document.rstrip())))
        at += len(document) + len(_BETWEEN)
    return CutText(_BETWEEN.join(documents), level, tuple(spans))


def _spans(cut: CutText, tokenizer: Any | None, before: str, after: str) -> list[Span]:
    level = cut.level
    if level is None:
        split_text(cut.text, "word")  # refuses an empty text
        return []
    if not isinstance(level, str):
        return check_spans(cut.text, level)
    if level == "document" and cut.documents:
        return list(cut.documents)
    if level == "token" and tokenizer is not None:
        from spex_mech.features.tokenizing import token_spans

        return token_spans(tokenizer, cut.text, before, after)
    if not cut.documents:
        return split_text(cut.text, level)
    return [
        Span(d.start + s.start, d.start + s.stop)
        for d in cut.documents
        for s in split_text(cut.text[d.start : d.stop], level)
    ]
