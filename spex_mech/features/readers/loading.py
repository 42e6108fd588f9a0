"""From the name, folder or object of any Hugging Face text model to a `TextModel`, and texts into chats."""

from __future__ import annotations

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

from spex_mech.core.errors import InputError
from spex_mech.features.readers.model import TextModel
from spex_mech.models.loading import EMBEDDED, bars_on_terminals_only, load_model
from spex_mech.tasks.chats import render
from spex_mech.tasks.task import Turn


def load_text_model(model: Any, tokenizer: Any | None) -> TextModel:
    """A model and its tokenizer.

    Args:
        model: see `text`.
        tokenizer: see `text`.

    Raises:
        InputError: no model, or no tokenizer.
    """
    if isinstance(model, (str, Path)):
        return _from_folder(str(model), tokenizer)
    hf = getattr(model, "hf", model)
    if not hasattr(hf, "config"):
        raise InputError(
            f"model is {model!r}, expected the name or folder of a model, a Hugging Face model, an "
            "Endpoint, or a function from texts to numbers"
        )
    tokenizer = tokenizer if tokenizer is not None else getattr(model, "tokenizer", None)
    if isinstance(tokenizer, (str, Path)):
        tokenizer = AutoTokenizer.from_pretrained(tokenizer)
    if tokenizer is None:
        raise InputError("a model given as an object needs tokenizer=, a tokenizer or its folder")
    return TextModel(hf.eval(), tokenizer, _kind(type(hf).__name__, hf.config))


def put_into_chat(
    model: TextModel, text: str, around: tuple[str, str], system: str | None
) -> tuple[str, str]:
    """What stands before and after a text once it is in its chat.

    Args:
        model: the model.
        text: the text.
        around: what stands before and after it in the template.
        system: the chat's system message.

    Raises:
        InputError: a model without chats, or a chat template that refuses the chat or changes the text.
    """
    if model.kind != "causal":
        raise InputError(f"a Chat is for causal models, this is a {model.kind} model; give a str")
    before, after = around
    message = before + text + after
    turns = [Turn("system", system)] if system else []
    try:
        rendered = render(message, [*turns, Turn("user", message)], "turns", model.tokenizer)
    except TemplateError as error:
        raise InputError(
            f"the chat template refuses this chat ({error}); leave system out"
        ) from error
    for stripped in (message, message.strip()):
        at = rendered.rfind(stripped)
        start = at + len(before) - (message.index(stripped) if stripped else 0)
        if at >= 0 and rendered[start : start + len(text)] == text:
            return rendered[:start], rendered[start + len(text) :]
    raise InputError(
        "the chat template changes the text, so that its parts cannot be found again; strip white space "
        "from its ends, or write the chat into template= yourself"
    )


def _from_folder(source: str, tokenizer: Any | None) -> TextModel:
    if source == EMBEDDED:
        return load_text_model(load_model(source), tokenizer)
    config = AutoConfig.from_pretrained(source)
    kind = _kind((config.architectures or [""])[0], config)
    if kind == "causal":
        return load_text_model(load_model(source, tokenizer=tokenizer), None)
    classes = {
        "classifier": AutoModelForSequenceClassification,
        "seq2seq": AutoModelForSeq2SeqLM,
        "encoder": AutoModel,
    }
    with bars_on_terminals_only():
        hf = classes[kind].from_pretrained(source, use_safetensors=True)
    return load_text_model(hf, tokenizer if tokenizer is not None else source)


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
