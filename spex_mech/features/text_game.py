"""`text`: the parts of a text as players."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from spex_mech.errors import InputError
from spex_mech.features.callables import CallableSource, fingerprint_of
from spex_mech.features.endpoint_source import EndpointSource
from spex_mech.features.endpoints import Endpoint
from spex_mech.features.game import FeatureGame
from spex_mech.features.removals import Removal, Replacements, removal_of
from spex_mech.features.spans import Span, check_spans, span_names, split_text
from spex_mech.features.subjects import Passage
from spex_mech.features.values import Reading
from spex_mech.features.wording import wording_of
from spex_mech.players import PlayerSet


def text(
    model: Any,
    text: str | Sequence[str],
    *,
    level: str = "sentence",
    spans: Sequence[Span | Sequence[int]] | None = None,
    removal: str | None = None,
    filler: str = "…",
    replacements: Replacements | None = None,
    value: str | Callable[[Any], float] | None = None,
    target: int | str | Sequence[str] | None = None,
    template: str = "{text}",
    chat: bool = False,
    system: str | None = None,
    tokenizer: Any | None = None,
    separator: str = "\n\n",
    max_new_tokens: int = 16,
    fingerprint: str | None = None,
    seed: int = 0,
) -> FeatureGame:
    r"""Make a game whose players are parts of a text: ``sm.evaluate``, ``sm.decode`` and all else apply.

    >>> game = sm.features.text("embedded", passage, level="sentence", target=[" A", " B", " C", " D"],
    ...                         template="{text}\nWhich room is the key in?\nAnswer:")
    >>> found = sm.explain(game, budget=200)
    >>> sm.features.view(game, found.spectrum)

    Args:
        model: what reads the text: the name or folder of a Hugging Face model, or the model itself (a
            sequence classifier, a causal model, an encoder-decoder, or an encoder without a head), a
            `Model`, an `Endpoint`, or any function from a list of texts to one number (or vector, or
            text) each.
        text: the text, or a list of documents.
        level: what a player is: ``token``, ``word``, ``sentence``, ``paragraph``, or ``document`` of a
            list. White space before a part goes with it.
        spans: the players' own characters (start, stop) instead of a level; what is in none always stays.
        removal: ``delete`` (the default), ``mask`` or ``unknown`` (the tokenizer's token in place of each
            token), ``filler`` (one text in place of each part), or ``replace``.
        filler: see ``removal``.
        replacements: texts to put in a part's place, by the part's text, or one entry a part; of
            several, one is drawn by ``seed`` and mask, always the same.
        value: of a classifier ``logit`` (the default), ``margin``, ``logprob``, ``logodds``,
            ``probability`` or ``similarity``; of a causal or encoder-decoder model ``logprob`` (the
            default with one answer), ``logodds``, ``margin`` (the default with several answers),
            ``probability`` or ``similarity``; of an encoder ``similarity``. See `class_reading`,
            `answer_reading`; of an endpoint see `EndpointSource`, of a function `judge_of`.
        target: of a classifier a class (by default the one of the whole text); of others an answer, or a
            list of answers of which the first is asked about, written as they follow the text (" Paris");
            by default what the model itself says to the whole text.
        template: what stands around the text, with ``{text}`` in its place; it always stays.
        chat: put the template's text through the chat template as a user's message.
        system: the chat's system message.
        tokenizer: of a model that is given as an object: a tokenizer, or its folder.
        separator: what stands between documents.
        max_new_tokens: longest answer that is generated where no target is given.
        fingerprint: of a function: text that changes when its answers do.
        seed: seed of the replacements.

    Raises:
        InputError: an empty text, spans that overlap or run out, a text or replacement that is longer than
            the context, a token that the tokenizer lacks, an unknown level, removal, value or target.
    """
    whole, documents = _joined(text, separator)
    before, after = _around(template)
    if callable(model) and not _is_model(model):
        _no_chat(chat, system, "a function of texts")
        passage = _passage(whole, documents, level, spans)
        how, wording = _worded(passage, removal, filler, replacements, before, after)
        reply: Any = model
        source = CallableSource(
            wording,
            how,
            reply,
            fingerprint=fingerprint or fingerprint_of(model),
            value=value,
            target=_one(target),
        )
        name = value if isinstance(value, str) else "number"
        reading = Reading(name, str(target or "the function"), lambda outputs: outputs[:, 0])
        return FeatureGame(_players(passage), source, reading, passage, seed=seed)
    if isinstance(model, Endpoint):
        _no_chat(chat, None, "an endpoint, which always chats")
        passage = _passage(whole, documents, level, spans)
        how, wording = _worded(passage, removal, filler, replacements, before, after)
        source = EndpointSource(wording, how, model, value=value, target=target, system=system)
        return FeatureGame(_players(passage), source, source.reading, passage, seed=seed)
    from spex_mech.features.hf_texts import read_text

    if callable(value):
        raise InputError("a function as value goes with functions and endpoints; name a value")
    reader, before, after = read_text(model, tokenizer, whole, before, after, chat, system)
    passage = _passage(whole, documents, level, spans, reader.tokenizer, before, after)
    how, wording = _worded(passage, removal, filler, replacements, before, after)
    n = len(passage.spans)
    source, reading = reader.settle(wording, how, n, value, target, max_new_tokens)
    return FeatureGame(_players(passage), source, reading, passage, seed=seed)


def _joined(text: str | Sequence[str], separator: str) -> tuple[str, list[Span]]:
    """The whole text, and where its documents stand (none for a single text)."""
    if isinstance(text, str):
        return text, []
    documents = list(text)
    if not documents or not all(isinstance(d, str) and d.strip() for d in documents):
        raise InputError("a list of documents needs at least one, and none of them empty")
    spans, at = [], 0
    for document in documents:
        lead = len(document) - len(document.lstrip())
        spans.append(Span(at + lead, at + len(document.rstrip())))
        at += len(document) + len(separator)
    return separator.join(documents), spans


def _around(template: str) -> tuple[str, str]:
    before, mark, after = template.partition("{text}")
    if not mark or "{text}" in after:
        raise InputError(
            f"template is {template[:80]!r}, expected a text with {{text}} in it, once"
        )
    return before, after


def _passage(
    whole: str,
    documents: list[Span],
    level: str,
    spans: Sequence[Span | Sequence[int]] | None,
    tokenizer: Any | None = None,
    before: str = "",
    after: str = "",
) -> Passage:
    if spans is not None:
        return Passage(whole, tuple(check_spans(whole, spans)))
    if level == "document" and documents:
        return Passage(whole, tuple(documents))
    if level == "token" and tokenizer is not None:
        from spex_mech.features.tokenizing import token_spans

        return Passage(whole, tuple(token_spans(tokenizer, whole, before, after)))
    if not documents:
        return Passage(whole, tuple(split_text(whole, level)))
    parts = [
        Span(d.start + s.start, d.start + s.stop)
        for d in documents
        for s in split_text(whole[d.start : d.stop], level)
    ]
    return Passage(whole, tuple(parts))


def _worded(
    passage: Passage,
    removal: str | None,
    filler: str,
    replacements: Replacements | None,
    before: str,
    after: str,
) -> tuple[Removal, Any]:
    parts = [passage.text[s.start : s.stop] for s in passage.spans]
    how = removal_of(removal, parts, filler=filler, replacements=replacements)
    choices = how.texts or ((),) * len(parts)
    return how, wording_of(passage.text, passage.spans, choices, before=before, after=after)


def _players(passage: Passage) -> PlayerSet:
    return PlayerSet.from_names(span_names(passage.text, passage.spans))


def _is_model(model: Any) -> bool:
    """Whether a callable is a Hugging Face model or one of ours, rather than a function of texts."""
    return hasattr(model, "config") and hasattr(model, "state_dict")


def _one(target: Any) -> str | None:
    if target is not None and not isinstance(target, str):
        raise InputError(f"target is {target!r}, expected a text")
    return target


def _no_chat(chat: bool, system: str | None, what: str) -> None:
    if chat or system is not None:
        raise InputError(f"chat and system are for causal models, not for {what}; leave them out")
