"""From a Hugging Face text model and a target to the source of masked texts and the value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.features.options import Generated
from spex_mech.features.parts import TextParts
from spex_mech.features.readers.causal import CausalReader
from spex_mech.features.readers.classifiers import ClassifierReader, EmbeddingReader
from spex_mech.features.readers.model import TextModel
from spex_mech.features.readers.seq2seq import Seq2SeqReader
from spex_mech.features.tokenizing import TYPES, special_start, texts_of, tokenize, tokenize_pair
from spex_mech.features.tokens import TokenLayout, TokenSource, check_length
from spex_mech.features.values import Reading, answer_reading, answer_texts, class_reading
from spex_mech.features.wording import Wording

_OF_PAIRS = ("classifier", "encoder")


@dataclass(frozen=True)
class _Request:
    """What is read off a text.

    Attributes:
        layout: the text's tokens.
        wording: the text.
        value: the value's name; None for the usual one.
        target: what the value is about, see `text`.
    """

    layout: TokenLayout
    wording: Wording
    value: str | None
    target: Any


def source_and_reading(
    model: TextModel, parts: TextParts, value: str | None, target: Any
) -> tuple[TokenSource, Reading]:
    """The source of masked texts and the value, for a text (or a pair) and a target.

    Raises:
        InputError: a text that is too long, a value or target that the model does not have, or a pair
            for a model that reads one text.
    """
    wording, *second = parts.wordings
    if second and model.kind not in _OF_PAIRS:
        raise InputError(
            f"a TextPair is for sequence classifiers and encoders, this is a {model.kind} model; put both "
            "texts into one, with template= or as a list of documents"
        )
    if second:
        layout = tokenize_pair(model.tokenizer, parts, typed=model.typed)
    else:
        if model.typed and model.kind in _OF_PAIRS:
            _check_one_segment(model.tokenizer, wording)
        layout = tokenize(model.tokenizer, parts, closing=model.kind != "causal")
    check_length(layout, model.context)
    return _MAKERS[model.kind](model, _Request(layout, wording, value, target))


def _check_one_segment(tokenizer: Any, wording: Wording) -> None:
    """Refuse a tokenizer that gives the tokens of a single text different segment ids, such as XLNet's."""
    types = tokenizer("".join(texts_of(wording)), verbose=False).get(TYPES, [0])
    if any(types):
        raise InputError(
            f"{type(tokenizer).__name__} gives the tokens of one text segment ids {sorted(set(types))}, "
            "which are kept for pairs only; pass a function from texts to numbers instead of the model"
        )


def _classifier(model: TextModel, request: _Request) -> tuple[TokenSource, Reading]:
    reader = ClassifierReader(model)
    source = TokenSource(request.layout, reader, model.tokenizer)
    target = request.target
    if target is not None and not isinstance(target, (int, str)):
        raise InputError(f"target is {target!r}, expected one class, by number or label")
    whole = reader.outputs([source.full])[0]
    return source, class_reading(request.value, target, whole, reader.labels)


def _encoder(model: TextModel, request: _Request) -> tuple[TokenSource, Reading]:
    if request.value not in (None, "similarity") or request.target is not None:
        raise InputError(
            f"value is {request.value!r} and target {request.target!r}; an encoder without a head gives "
            "only value='similarity', to the whole text"
        )
    reader = EmbeddingReader(model)
    source = TokenSource(request.layout, reader, model.tokenizer)
    reader.compare_with(source.full)
    return source, Reading("similarity", "the whole text", lambda outputs: outputs[:, 0])


def _causal(model: TextModel, request: _Request) -> tuple[TokenSource, Reading]:
    def tokens(answer: str) -> Sequence[int]:
        continuation = _continuation(model.tokenizer, request.wording, answer)
        check_length(request.layout, model.context, len(continuation))  # it follows the text
        return continuation

    room = None
    if model.context is not None:
        room = model.context - request.layout.longest
    return _answers(model, request, CausalReader(model), tokens, room)


def _seq2seq(model: TextModel, request: _Request) -> tuple[TokenSource, Reading]:
    def tokens(answer: str) -> Sequence[int]:
        return model.tokenizer(text_target=answer)["input_ids"]

    return _answers(model, request, Seq2SeqReader(model), tokens, None)


def _answers(
    model: TextModel,
    request: _Request,
    reader: CausalReader | Seq2SeqReader,
    tokens: Callable[[str], Sequence[int]],
    room: int | None,
) -> tuple[TokenSource, Reading]:
    """Answers by their log-probabilities: those of the target, or the one that the model itself gives.

    Args:
        model: the model.
        request: what is read off the text.
        reader: its reader.
        tokens: from an answer to its token ids.
        room: tokens that the context has left for an answer; None for no limit.
    """
    source = TokenSource(request.layout, reader, model.tokenizer)
    target = Generated() if request.target is None else request.target
    if isinstance(target, Generated):
        longest = target.max_new_tokens
        if room is not None:
            check_length(request.layout, model.context, 1)
            longest = min(longest, room)
        ids: list[Sequence[int]] = [reader.continue_text(source.full, longest)]
        answers = [model.tokenizer.decode(list(ids[0]))]
    else:
        answers = answer_texts(target)
        ids = [tokens(answer) for answer in answers]
    reading = answer_reading(request.value, answers)
    reader.set_answers(source.full, ids, similarity=reading.name == "similarity")
    return source, reading


_MAKERS = {"classifier": _classifier, "encoder": _encoder, "causal": _causal, "seq2seq": _seq2seq}


def _continuation(tokenizer: Any, wording: Wording, answer: str) -> tuple[int, ...]:
    """Token ids of an answer after the text's end."""
    whole = "".join(texts_of(wording))
    special = not special_start(tokenizer, whole)
    short = _without_closing(tokenizer, whole, special)
    longer = _without_closing(tokenizer, whole + answer, special)
    if longer[: len(short)] != short or len(longer) == len(short):
        raise InputError(
            f"this tokenizer joins the end of the text with the answer {answer!r}; let answers begin "
            "with a space, or the text end with one"
        )
    return tuple(longer[len(short) :])


def _without_closing(tokenizer: Any, text: str, special: bool) -> list[int]:
    """Token ids of a text without a closing token that the tokenizer adds."""
    with_closing = list(tokenizer(text, add_special_tokens=special)["input_ids"])
    plain = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    extra = len(with_closing) - len(plain)
    at = next((k for k in range(extra + 1) if with_closing[k : k + len(plain)] == plain), extra)
    return with_closing[: at + len(plain)]
