"""From any Hugging Face text model to the reader that suits it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2.exceptions import TemplateError
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from spex_mech.chats import render
from spex_mech.errors import InputError
from spex_mech.features.hf_causal import CausalReader
from spex_mech.features.hf_classifiers import ClassifierReader, EmbeddingReader
from spex_mech.features.hf_seq2seq import Seq2SeqReader
from spex_mech.features.removals import Removal
from spex_mech.features.token_rows import TokenLayout, check_length
from spex_mech.features.token_source import TokenSource
from spex_mech.features.tokenizing import special_start, tokenize
from spex_mech.features.values import Reading, answer_reading, class_reading
from spex_mech.features.wording import Wording
from spex_mech.models import EMBEDDED, bars_on_terminals_only, load_model
from spex_mech.task import Turn

Target = int | str | Sequence[str] | None


@dataclass(frozen=True)
class TextModel:
    """A model and its tokenizer, ready to be asked about a text.

    Attributes:
        hf: the model.
        tokenizer: its tokenizer.
        kind: ``classifier``, ``causal``, ``seq2seq`` or ``encoder``.
    """

    hf: Any
    tokenizer: Any
    kind: str

    def settle(
        self,
        wording: Wording,
        removal: Removal,
        n: int,
        value: str | None,
        target: Target,
        max_new_tokens: int,
    ) -> tuple[TokenSource, Reading]:
        """The source of masked texts and the value, for a text and a target.

        Raises:
            InputError: a text that is too long, or a value or target that the model does not have.
        """
        closing = self.kind != "causal"
        layout = tokenize(self.tokenizer, wording, removal, n, closing=closing)
        return _SETTLERS[self.kind](self, layout, wording, value, target, max_new_tokens)


def read_text(
    model: Any,
    tokenizer: Any | None,
    text: str,
    before: str,
    after: str,
    chat: bool,
    system: str | None,
) -> tuple[TextModel, str, str]:
    """Load what is needed, and put the text into its chat.

    Args:
        model: see `text`.
        tokenizer: see `text`.
        text: the text.
        before: what stands before it in the template.
        after: what stands after it.
        chat: whether to use the chat template.
        system: the chat's system message.

    Returns:
        The model, and what stands before and after the text once it is in its chat.

    Raises:
        InputError: no model, tokenizer or chat template.
    """
    found = _load(model, tokenizer)
    if not chat:
        if system is not None:
            raise InputError("system is the message of a chat; pass chat=True with it")
        return found, before, after
    if found.kind != "causal":
        raise InputError(
            f"chat=True is for causal models, this is a {found.kind} model; leave it out"
        )
    message = before + text + after
    turns = [Turn("system", system)] if system else []
    try:
        rendered = render(message, [*turns, Turn("user", message)], "turns", found.tokenizer)
    except TemplateError as error:
        raise InputError(
            f"the chat template refuses this chat ({error}); leave system out"
        ) from error
    for given in (message, message.strip()):
        at = rendered.rfind(given)
        start = at + len(before) - (message.index(given) if given else 0)
        if at >= 0 and rendered[start : start + len(text)] == text:
            return found, rendered[:start], rendered[start + len(text) :]
    raise InputError(
        "the chat template changes the text, so that its parts cannot be found again; strip white space "
        "from its ends, or write the chat into template= yourself"
    )


def _load(model: Any, tokenizer: Any | None) -> TextModel:
    if isinstance(model, (str, Path)):
        return _from_folder(str(model), tokenizer)
    hf = getattr(model, "hf", model)
    if not hasattr(hf, "config"):
        raise InputError(
            f"model is {model!r}, expected the name or folder of a model, a Hugging Face model, an "
            "Endpoint, or a function from texts to numbers"
        )
    own = tokenizer if tokenizer is not None else getattr(model, "tokenizer", None)
    if isinstance(own, (str, Path)):
        own = AutoTokenizer.from_pretrained(own)
    if own is None:
        raise InputError("a model given as an object needs tokenizer=, a tokenizer or its folder")
    return TextModel(hf.eval(), own, _kind(type(hf).__name__, hf.config))


def _from_folder(source: str, tokenizer: Any | None) -> TextModel:
    if source == EMBEDDED:
        return _load(load_model(source), tokenizer)
    config = AutoConfig.from_pretrained(source)
    kind = _kind((config.architectures or [""])[0], config)
    if kind == "causal":
        return _load(load_model(source, tokenizer=tokenizer), None)
    classes = {
        "classifier": AutoModelForSequenceClassification,
        "seq2seq": AutoModelForSeq2SeqLM,
        "encoder": AutoModel,
    }
    with bars_on_terminals_only():
        hf = classes[kind].from_pretrained(source, use_safetensors=True)
    return _load(hf, tokenizer if tokenizer is not None else source)


def _kind(architecture: str, config: Any) -> str:
    if "SequenceClassification" in architecture:
        return "classifier"
    if "ConditionalGeneration" in architecture or getattr(config, "is_encoder_decoder", False):
        return "seq2seq"
    if "CausalLM" in architecture or "LMHeadModel" in architecture:
        return "causal"
    if architecture.endswith("Model"):
        return "encoder"
    raise InputError(
        f"the model is a {architecture or 'model without a named architecture'}, expected a sequence "
        "classifier, a causal or encoder-decoder language model, or an encoder"
    )


def _classify(
    model: TextModel,
    layout: TokenLayout,
    wording: Wording,
    value: str | None,
    target: Target,
    most: int,
) -> tuple[TokenSource, Reading]:
    reader = ClassifierReader(model.hf, model.tokenizer)
    check_length(layout, reader.context)
    source = TokenSource(layout, reader)
    if target is not None and not isinstance(target, (int, str)):
        raise InputError(f"target is {target!r}, expected one class, by number or label")
    return source, class_reading(value, target, reader.outputs([source.full])[0], reader.labels)


def _embed(
    model: TextModel,
    layout: TokenLayout,
    wording: Wording,
    value: str | None,
    target: Target,
    most: int,
) -> tuple[TokenSource, Reading]:
    if value not in (None, "similarity") or target is not None:
        raise InputError(
            f"value is {value!r} and target {target!r}; an encoder without a head gives only "
            "value='similarity', to the whole text"
        )
    reader = EmbeddingReader(model.hf, model.tokenizer)
    check_length(layout, reader.context)
    source = TokenSource(layout, reader)
    reader.compare_with(source.full)
    return source, Reading("similarity", "the whole text", lambda outputs: outputs[:, 0])


def _continue(
    model: TextModel,
    layout: TokenLayout,
    wording: Wording,
    value: str | None,
    target: Target,
    most: int,
) -> tuple[TokenSource, Reading]:
    def tokens(name: str) -> Sequence[int]:
        return _continuation(model.tokenizer, wording, name)

    reader = CausalReader(model.hf, model.tokenizer)
    return _scored(model, layout, reader, value, target, most, tokens)


def _answer(
    model: TextModel,
    layout: TokenLayout,
    wording: Wording,
    value: str | None,
    target: Target,
    most: int,
) -> tuple[TokenSource, Reading]:
    def tokens(name: str) -> Sequence[int]:
        return model.tokenizer(text_target=name)["input_ids"]

    reader = Seq2SeqReader(model.hf, model.tokenizer)
    return _scored(model, layout, reader, value, target, most, tokens)


def _scored(
    model: TextModel,
    layout: TokenLayout,
    reader: CausalReader | Seq2SeqReader,
    value: str | None,
    target: Target,
    most: int,
    tokens: Callable[[str], Sequence[int]],
) -> tuple[TokenSource, Reading]:
    """Continuations by their log-probabilities: the answers given, or what the model itself says."""
    check_length(layout, reader.context)
    source = TokenSource(layout, reader)
    if target is None:
        answers = [reader.continue_text(source.full, most)]
        names = [model.tokenizer.decode(list(answers[0]))]
    else:
        names = _answers(target)
        answers = [tokens(name) for name in names]
    if isinstance(reader, CausalReader):  # answers stand behind the text
        check_length(layout, reader.context, max(len(answer) for answer in answers))
    reading = answer_reading(value, names)
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
    texts = [piece.blank + piece.versions[0] for piece in wording.pieces]
    whole = wording.before + "".join(texts) + wording.after
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
