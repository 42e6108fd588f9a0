"""Cutting one text, or a pair of texts, into parts that may go missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.features.spans import Passage, Span, check_spans, split_text
from spex_mech.features.wording import Removal, Replacements, Wording, removal_of, wording_of

Spans = Sequence[Span | Sequence[int]]


@dataclass(frozen=True)
class Cut:
    """A text and how it is cut.

    Attributes:
        text: the text.
        level: what a part is; None where the text stays whole.
        spans: the parts' own characters instead of a level.
        documents: where the documents stand that it is joined of.
    """

    text: str
    level: str | None
    spans: Spans | None = None
    documents: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Parted:
    """Texts in parts.

    Attributes:
        passage: the texts one after the other, for views.
        wordings: each text with the replacements of its parts, which are numbered through.
        removal: how parts are removed.
    """

    passage: Passage
    wordings: tuple[Wording, ...]
    removal: Removal


def join_documents(text: str | Sequence[str], separator: str) -> tuple[str, tuple[Span, ...]]:
    """The whole text, and where its documents stand (none for a single text).

    Raises:
        InputError: a list without documents, or with an empty one.
    """
    if isinstance(text, str):
        return text, ()
    documents = list(text)
    if not documents or not all(isinstance(d, str) and d.strip() for d in documents):
        raise InputError("a list of documents needs at least one, and none of them empty")
    spans, at = [], 0
    for document in documents:
        lead = len(document) - len(document.lstrip())
        spans.append(Span(at + lead, at + len(document.rstrip())))
        at += len(document) + len(separator)
    return separator.join(documents), tuple(spans)


def part_texts(
    cuts: Sequence[Cut],
    *,
    removal: str | None,
    filler: str,
    replacements: Replacements | None,
    separator: str,
    before: str,
    after: str,
    tokenizer: Any | None = None,
) -> Parted:
    """Cut one text or a pair of texts.

    Args:
        cuts: the texts.
        removal: see `removal_of`.
        filler: see `removal_of`.
        replacements: see `removal_of`.
        separator: what stands between the texts in views.
        before: what always stands before the first text.
        after: what always stands after it.
        tokenizer: for the level ``token``.

    Raises:
        InputError: a text without a word, spans that overlap or run out, an unknown level or removal, or
            no parts at all.
    """
    around = [(before, after), *[("", "")] * (len(cuts) - 1)]
    spans = [_spans(cut, tokenizer, *ends) for cut, ends in zip(cuts, around, strict=True)]
    own = [c.text[s.start : s.stop] for c, mine in zip(cuts, spans, strict=True) for s in mine]
    if not own:
        raise InputError("both texts stay whole; give level= or pair_level=, as in level='word'")
    how = removal_of(removal, own, filler=filler, replacements=replacements)
    choices = how.texts or ((),) * len(own)
    wordings, shown, start, first = [], [], 0, 0
    for cut, mine, ends in zip(cuts, spans, around, strict=True):
        texts = choices[first : first + len(mine)]
        wordings.append(
            wording_of(cut.text, mine, texts, before=ends[0], after=ends[1], first=first)
        )
        shown += [Span(start + s.start, start + s.stop) for s in mine]
        start += len(cut.text) + len(separator)
        first += len(mine)
    passage = Passage(separator.join(cut.text for cut in cuts), tuple(shown))
    return Parted(passage, tuple(wordings), how)


def _spans(cut: Cut, tokenizer: Any | None, before: str, after: str) -> list[Span]:
    if cut.spans is not None:
        return check_spans(cut.text, cut.spans)
    if cut.level is None:
        split_text(cut.text, "word")  # refuses an empty text
        return []
    if cut.level == "document" and cut.documents:
        return list(cut.documents)
    if cut.level == "token" and tokenizer is not None:
        from spex_mech.features.tokenizing import token_spans

        return token_spans(tokenizer, cut.text, before, after)
    if not cut.documents:
        return split_text(cut.text, cut.level)
    return [
        Span(d.start + s.start, d.start + s.stop)
        for d in cut.documents
        for s in split_text(cut.text[d.start : d.stop], cut.level)
    ]
