"""`text`: the parts of a text as players."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.core.players import PlayerSet
from spex_mech.features.endpoint_source import EndpointSource
from spex_mech.features.endpoints import Endpoint
from spex_mech.features.functions import CallableSource, fingerprint_of
from spex_mech.features.game import FeatureGame, model_name
from spex_mech.features.parts import Cut, Spans, join_documents, part_texts
from spex_mech.features.spans import span_names
from spex_mech.features.values import Reading
from spex_mech.features.wording import Replacements


def text(
    model: Any,
    text: str | Sequence[str],
    *,
    level: str | None = "sentence",
    spans: Spans | None = None,
    pair: str | None = None,
    pair_level: str | None = "same",
    pair_spans: Spans | None = None,
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
            list; with a pair, None keeps this text whole. White space before a part goes with it.
        spans: the players' own characters (start, stop) instead of a level; what is in none always stays.
        pair: a second text, for models that read pairs (premise and hypothesis, question and passage): the
            two are joined as the tokenizer joins pairs, with its segment ids. The template is of the first.
        pair_level: level of the second text: ``same`` as the first, or one of its own; None keeps it whole.
        pair_spans: the second text's own players instead of a level.
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
        separator: what stands between documents, and in views between the texts of a pair.
        max_new_tokens: longest answer that is generated where no target is given.
        fingerprint: of a function: text that changes when its answers do.
        seed: seed of the replacements.

    Raises:
        InputError: an empty text, spans that overlap or run out, a text or replacement that is longer than
            the context, a token that the tokenizer lacks, an unknown level, removal, value or target, a
            pair for a model that reads one text.
    """
    whole, documents = join_documents(text, separator)
    before, after = _around(template)
    cuts = [Cut(whole, level, spans, documents)]
    if pair is not None:
        cuts.append(Cut(pair, level if pair_level == "same" else pair_level, pair_spans))
    elif level is None and spans is None:
        raise InputError("level is None, which keeps the text whole; that goes with pair=")
    parted_by = partial(
        part_texts,
        cuts,
        removal=removal,
        filler=filler,
        replacements=replacements,
        separator=separator,
    )
    if callable(model) and not _is_model(model):
        _one_text(chat, system, pair, "a function of texts")
        parted = parted_by(before=before, after=after)
        reply: Any = model
        source: Any = CallableSource(
            parted.wordings[0],
            parted.removal,
            reply,
            fingerprint=fingerprint or fingerprint_of(model),
            value=value,
            target=_one(target),
        )
        name = value if isinstance(value, str) else "number"
        reading = Reading(name, str(target or "the function"), lambda outputs: outputs[:, 0])
    elif isinstance(model, Endpoint):
        _one_text(chat, None, pair, "an endpoint, which always chats")
        parted = parted_by(before=before, after=after)
        wording, how = parted.wordings[0], parted.removal
        source = EndpointSource(wording, how, model, value=value, target=target, system=system)
        reading = source.reading
    else:
        from spex_mech.features.readers.asking import settle
        from spex_mech.features.readers.loading import read_text

        if callable(value):
            raise InputError("a function as value goes with functions and endpoints; name a value")
        reader, before, after = read_text(model, tokenizer, whole, before, after, chat, system)
        parted = parted_by(before=before, after=after, tokenizer=reader.tokenizer)
        source, reading = settle(reader, parted, value, target, max_new_tokens)
    kind = parted.removal.kind
    asked = {
        "model": model_name(model),
        "level": _told(level, spans),
        "pair_level": "" if pair is None else _told(pair_level, pair_spans),
        "template": template,
        "chat": "yes" if chat else "",
        "system": system or "",
        "removal": f"filler {filler!r}" if kind == "filler" else kind,
    }
    passage = parted.passage
    players = PlayerSet.from_names(span_names(passage.text, passage.spans))
    return FeatureGame(players, source, reading, passage, seed=seed, asked=asked)


def _told(level: str | None, spans: Any) -> str:
    return "spans" if spans is not None else level or "whole"


def _around(template: str) -> tuple[str, str]:
    before, mark, after = template.partition("{text}")
    if not mark or "{text}" in after:
        raise InputError(
            f"template is {template[:80]!r}, expected a text with {{text}} in it, once"
        )
    return before, after


def _is_model(model: Any) -> bool:
    """Whether a callable is a Hugging Face model or one of ours, rather than a function of texts."""
    return hasattr(model, "config") and hasattr(model, "state_dict")


def _one(target: Any) -> str | None:
    if target is not None and not isinstance(target, str):
        raise InputError(f"target is {target!r}, expected a text")
    return target


def _one_text(chat: bool, system: str | None, pair: str | None, what: str) -> None:
    if chat or system is not None:
        raise InputError(f"chat and system are for causal models, not for {what}; leave them out")
    if pair is not None:
        raise InputError(
            f"pair= is for sequence classifiers and encoders, not for {what}; put both texts into one, "
            "with template= or as a list of documents"
        )
