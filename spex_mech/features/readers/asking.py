"""What a Hugging Face text model is asked: its reader, the source of masked texts, and the value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.features.parts import Parted
from spex_mech.features.readers.causal import CausalReader
from spex_mech.features.readers.classifiers import ClassifierReader, EmbeddingReader
from spex_mech.features.readers.model import TextModel
from spex_mech.features.readers.seq2seq import Seq2SeqReader
from spex_mech.features.tokenizing import TYPES, special_start, texts_of, tokenize, tokenize_pair
from spex_mech.features.tokens import TokenLayout, TokenSource, check_length
from spex_mech.features.values import Reading, answer_reading, class_reading
from spex_mech.features.wording import Wording

Target = int | str | Sequence[str] | None
_OF_PAIRS = ("classifier", "encoder")


@dataclass(frozen=True)
class Question:
    """What is asked of a text.

    Attributes:
        layout: the text's tokens.
        wording: the text.
        value: the value's name; None for the usual one.
        target: what it is about; None for what the model says itself.
        most: longest answer that is generated.
    """

    layout: TokenLayout
    wording: Wording
    value: str | None
    target: Target
    most: int


def settle(
    model: TextModel, parted: Parted, value: str | None, target: Target, max_new_tokens: int
) -> tuple[TokenSource, Reading]:
    """The source of masked texts and the value, for a text (or a pair) and a target.

    Raises:
        InputError: a text that is too long, a value or target that the model does not have, or a pair
            for a model that reads one text.
    """
    n, (wording, *second) = len(parted.passage.spans), parted.wordings
    if second and model.kind not in _OF_PAIRS:
        raise InputError(
            f"pair= is for sequence classifiers and encoders, this is a {model.kind} model; put both "
            "texts into one, with template= or as a list of documents"
        )
    if second:
        layout = tokenize_pair(
            model.tokenizer, wording, second[0], parted.removal, n, typed=model.typed
        )
    else:
        if model.typed and model.kind in _OF_PAIRS:
            _check_one_segment(model.tokenizer, wording)
        closing = model.kind != "causal"
        layout = tokenize(model.tokenizer, wording, parted.removal, n, closing=closing)
    check_length(layout, model.context)
    return _SETTLERS[model.kind](model, Question(layout, wording, value, target, max_new_tokens))


def _check_one_segment(tokenizer: Any, wording: Wording) -> None:
    """Refuse a tokenizer that gives the tokens of a single text different segment ids, such as XLNet's."""
    types = tokenizer("".join(texts_of(wording)), verbose=False).get(TYPES, [0])
    if any(types):
        raise InputError(
            f"{type(tokenizer).__name__} gives the tokens of one text segment ids {sorted(set(types))}, "
            "which are kept for pairs only; pass a function from texts to numbers instead of the model"
        )


def _classify(model: TextModel, asked: Question) -> tuple[TokenSource, Reading]:
    reader = ClassifierReader(model)
    source = TokenSource(asked.layout, reader, model.tokenizer)
    target = asked.target
    if target is not None and not isinstance(target, (int, str)):
        raise InputError(f"target is {target!r}, expected one class, by number or label")
    whole = reader.outputs([source.full])[0]
    return source, class_reading(asked.value, target, whole, reader.labels)


def _embed(model: TextModel, asked: Question) -> tuple[TokenSource, Reading]:
    if asked.value not in (None, "similarity") or asked.target is not None:
        raise InputError(
            f"value is {asked.value!r} and target {asked.target!r}; an encoder without a head gives "
            "only value='similarity', to the whole text"
        )
    reader = EmbeddingReader(model)
    source = TokenSource(asked.layout, reader, model.tokenizer)
    reader.compare_with(source.full)
    return source, Reading("similarity", "the whole text", lambda outputs: outputs[:, 0])


def _continue(model: TextModel, asked: Question) -> tuple[TokenSource, Reading]:
    def tokens(name: str) -> Sequence[int]:
        found = _continuation(model.tokenizer, asked.wording, name)
        check_length(asked.layout, model.context, len(found))  # it stands behind the text
        return found

    if asked.target is None and model.context is not None:
        check_length(asked.layout, model.context, 1)
        room = model.context - asked.layout.longest
        asked = replace(asked, most=min(asked.most, room))
    return _scored(model, asked, CausalReader(model), tokens)


def _answer(model: TextModel, asked: Question) -> tuple[TokenSource, Reading]:
    def tokens(name: str) -> Sequence[int]:
        return model.tokenizer(text_target=name)["input_ids"]

    return _scored(model, asked, Seq2SeqReader(model), tokens)


def _scored(
    model: TextModel,
    asked: Question,
    reader: CausalReader | Seq2SeqReader,
    tokens: Callable[[str], Sequence[int]],
) -> tuple[TokenSource, Reading]:
    """Continuations by their log-probabilities: the answers given, or what the model itself says."""
    source = TokenSource(asked.layout, reader, model.tokenizer)
    if asked.target is None:
        answers: list[Sequence[int]] = [reader.continue_text(source.full, asked.most)]
        names = [model.tokenizer.decode(list(answers[0]))]
    else:
        names = _answers(asked.target)
        answers = [tokens(name) for name in names]
    reading = answer_reading(asked.value, names)
    reader.ask(source.full, answers, similarity=reading.name == "similarity")
    return source, reading


_SETTLERS = {"classifier": _classify, "encoder": _embed, "causal": _continue, "seq2seq": _answer}


def _answers(target: Target) -> list[str]:
    names = (
        [target]
        if isinstance(target, str)
        else list(target)
        if isinstance(target, Sequence)
        else []
    )
    if not names or not all(isinstance(name, str) and name for name in names):
        raise InputError(f"target is {target!r}, expected an answer or a list of answers, as texts")
    if len(set(names)) < len(names):
        raise InputError(f"target has the same answer twice: {names}; give each once")
    return names


def _continuation(tokenizer: Any, wording: Wording, answer: str) -> tuple[int, ...]:
    """Token ids of an answer after the text's end."""
    whole = "".join(texts_of(wording))
    special = not special_start(tokenizer, whole)
    short = _bare(tokenizer, whole, special)
    longer = _bare(tokenizer, whole + answer, special)
    if longer[: len(short)] != short or len(longer) == len(short):
        raise InputError(
            f"this tokenizer joins the end of the text with the answer {answer!r}; let answers begin "
            "with a space, or the text end with one"
        )
    return tuple(longer[len(short) :])


def _bare(tokenizer: Any, text: str, special: bool) -> list[int]:
    """Token ids of a text without a closing token that the tokenizer adds."""
    with_closing = list(tokenizer(text, add_special_tokens=special)["input_ids"])
    plain = list(tokenizer(text, add_special_tokens=False)["input_ids"])
    extra = len(with_closing) - len(plain)
    at = next((k for k in range(extra + 1) if with_closing[k : k + len(plain)] == plain), extra)
    return with_closing[: at + len(plain)]
