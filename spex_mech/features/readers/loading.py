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
