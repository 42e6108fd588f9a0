"""`text`: the parts of a text as players."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.core.players import PlayerSet
from spex_mech.features.endpoint_source import EndpointSource
from spex_mech.features.endpoints import Endpoint
from spex_mech.features.functions import FunctionSource
from spex_mech.features.game import FeatureGame, model_name
from spex_mech.features.options import Chat, Generated, Level, Removal, TextPair
from spex_mech.features.parts import CutText, TextParts, cut_texts, part_texts
from spex_mech.features.spans import span_names
from spex_mech.features.values import Reading

Target = int | str | Sequence[str] | Generated | None


def text(
    model: Any,
    text: str | Sequence[str] | TextPair,
    *,
    level: Level = "sentence",
    target: Target = None,
    value: str | Callable[[Any], float] | None = None,
    template: str | Chat = "{text}",
    removal: str | Removal | None = None,
    tokenizer: Any | None = None,
) -> FeatureGame:
    r"""Make a game whose players are parts of a text: ``sm.evaluate``, ``sm.decode`` and all else apply.

    >>> game = sm.features.text("embedded", passage, level="sentence", target=[" A", " B", " C", " D"],
    ...                         template="{text}\nWhich room is the key in?\nAnswer:")
    >>> spectrum = sm.explain(game, budget=200).spectrum
    >>> sm.features.view(game, spectrum)

    Args:
        model: what reads the text: the name or folder of a Hugging Face model, or the model itself (a
            sequence classifier, a causal model, an encoder-decoder, or an encoder without a head), a
            `Model`, an `Endpoint`, or any function from a list of texts to one number (or vector, or
            text) each. A function may have an attribute ``fingerprint``, a text that changes when its
            answers do; without one, its source is taken.
        text: the text, a list of documents, or a `TextPair`.
        level: what a player is: ``token``, ``word``, ``sentence``, ``paragraph``, ``document`` of a list,
            or the players' own characters (start, stop), where all other text stays; None keeps the
            first text of a pair whole. White space before a part goes with it.
        target: of a classifier a class (by default the class of the whole text); of others an answer, or
            a list of answers of which the first is asked about, written as they follow the text
            (" Paris"); by default what the model itself answers to the whole text, see `Generated`.
        value: of a classifier ``logit`` (the default), ``margin``, ``logprob``, ``logodds``,
            ``probability`` or ``similarity``; of a causal or encoder-decoder model ``logprob`` (the
            default with one answer), ``logodds``, ``margin`` (the default with several answers),
            ``probability`` or ``similarity``; of an encoder ``similarity``. See `class_reading`,
            `answer_reading`; of an endpoint see `EndpointSource`, of a function `judge_of`.
        template: what stands around the text, with ``{text}`` in its place, which always stays; or a
            `Chat`.
        removal: what removed parts become: ``delete`` (the default), ``mask``, ``unknown``, ``filler``, or
            a `Removal`, which may hold replacements.
        tokenizer: of a model that is given as an object: a tokenizer, or its folder.

    Raises:
        InputError: an empty text, spans that overlap or run out, a text or replacement that is longer than
            the context, a token that the tokenizer lacks, an unknown level, removal, value or target, a
            pair for a model that reads one text.
    """
    cuts = cut_texts(text, level)
    chat = template if isinstance(template, Chat) else None
    around = _around(chat.template if chat else str(template))
    removal = removal if isinstance(removal, Removal) else Removal(removal)
    batch = None
    if callable(model) and not _is_model(model):
        if chat:
            raise InputError("a Chat is for causal models, not for a function of texts; give a str")
        parts = part_texts(_one_text(cuts, "a function of texts"), removal, around)
        reply: Any = model
        source: Any = FunctionSource(parts, reply, value=value, target=_one(target))
        name = value if isinstance(value, str) else "number"
        reading = Reading(name, str(target or "the function"), lambda outputs: outputs[:, 0])
    elif isinstance(model, Endpoint):
        parts = part_texts(_one_text(cuts, "an endpoint"), removal, around)
        system = chat.system if chat else None
        source = EndpointSource(parts, model, value=value, target=target, system=system)
        reading, batch = source.reading, source.batch
    else:
        from spex_mech.features.readers.model import load_text_model, put_into_chat
        from spex_mech.features.readers.target import source_and_reading

        if callable(value):
            raise InputError("a function as value goes with functions and endpoints; name a value")
        reader = load_text_model(model, tokenizer)
        if chat:
            around = put_into_chat(reader, cuts[0].text, around, chat.system)
        parts = part_texts(cuts, removal, around, reader.tokenizer)
        source, reading = source_and_reading(reader, parts, value, target)
    settings = {
        "model": model_name(model),
        "level": level_name(level),
        "pair_level": level_name(text.level) if isinstance(text, TextPair) else "",
        "template": chat.template if chat else str(template),
        "chat": "yes" if chat else "",
        "system": (chat.system if chat else None) or "",
        "removal": _removal_name(parts, removal),
    }
    players = PlayerSet.from_names(span_names(parts.passage.text, parts.passage.spans))
    return FeatureGame(
        players, source, reading, parts.passage, seed=removal.seed, settings=settings, batch=batch
    )


def level_name(level: Level) -> str:
    """A level as readers see it."""
    return level if isinstance(level, str) else "whole" if level is None else "spans"


def _removal_name(parts: TextParts, removal: Removal) -> str:
    kind = parts.stand_ins.kind
    return f"filler {removal.filler!r}" if kind == "filler" else kind


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


def _one_text(cuts: list[CutText], reader: str) -> list[CutText]:
    if len(cuts) > 1:
        raise InputError(
            f"a TextPair is for sequence classifiers and encoders, not for {reader}; put both texts into "
            "one, with template= or as a list of documents"
        )
    return cuts
