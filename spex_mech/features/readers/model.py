"""`TextModel`: any Hugging Face text model with its tokenizer, how it is loaded, and its limits."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from jinja2.exceptions import TemplateError
from transformers import (
    AutoModel,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
)

from spex_mech.core.errors import InputError
from spex_mech.features.tokenizing import check_fast
from spex_mech.features.tokens import TOKENS, TokenRow, pack_rows
from spex_mech.models.checkpoints import read_config, read_tokenizer, read_weights
from spex_mech.models.fingerprint import weights_fingerprint
from spex_mech.models.folders import check_folder
from spex_mech.models.gguf import is_gguf
from spex_mech.models.loading import NAMED, bars_on_terminals_only, load_model
from spex_mech.tasks.chats import render
from spex_mech.tasks.task import Turn

_NO_LIMIT = 10**6  # tokenizers without a limit say 10^30


@dataclass(frozen=True, eq=False)
class TextModel:
    """A model and its tokenizer, ready to be asked about a text.

    Attributes:
        hf: the model, in evaluation mode.
        tokenizer: its tokenizer.
        kind: ``classifier``, ``causal``, ``seq2seq`` or ``encoder``.
    """

    hf: Any
    tokenizer: Any
    kind: str

    @cached_property
    def context(self) -> int | None:
        """Longest input in tokens; None for no limit."""
        return context_of(self.hf.config, self.tokenizer)

    @cached_property
    def pad(self) -> int:
        """The token that fills rows up."""
        return pad_of(self.hf.config, self.tokenizer)

    @cached_property
    def key(self) -> dict[str, str]:
        """What decides its answers."""
        return weights_key(self.hf)

    @property
    def tokens(self) -> int:
        """Tokens that suit it at once: on a CPU few, which stay in its caches."""
        return TOKENS if self.hf.device.type != "cpu" else TOKENS // 4

    @property
    def typed(self) -> bool:
        """Whether it reads segment ids."""
        return "token_type_ids" in inspect.signature(self.hf.forward).parameters


def context_of(config: Any, tokenizer: Any) -> int | None:
    """Longest input in tokens, as config and tokenizer tell; None where neither sets a limit."""
    text = config.get_text_config()
    limits = []
    if (most := getattr(text, "max_position_embeddings", None)) is not None:
        # RoBERTa's positions begin after the padding token's number.
        offset = (text.pad_token_id or 0) + 1 if "roberta" in text.model_type else 0
        limits.append(int(most) - offset)
    limit = getattr(tokenizer, "model_max_length", None)
    if limit is not None and limit < _NO_LIMIT:
        limits.append(int(limit))
    return min(limits, default=None)


def pad_of(config: Any, tokenizer: Any) -> int:
    """The token that fills rows up; 0 where there is none, which is masked anyway."""
    for token in (
        getattr(config.get_text_config(), "pad_token_id", None),
        getattr(tokenizer, "pad_token_id", None),
        getattr(tokenizer, "eos_token_id", None),
    ):
        if isinstance(token, int) and token >= 0:
            return token
    return 0


def weights_key(hf: Any) -> dict[str, str]:
    """A model's class, contents of all weights, and dtype."""
    return {"weights": weights_fingerprint(hf), "dtype": str(hf.dtype)}


def load_text_model(model: Any, tokenizer: Any | None) -> TextModel:
    """A model and its tokenizer.

    Args:
        model: see `text`.
        tokenizer: see `text`.

    Raises:
        InputError: no model, or no fast tokenizer.
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
        tokenizer = read_tokenizer(tokenizer)
    if tokenizer is None:
        raise InputError("a model given as an object needs tokenizer=, a tokenizer or its folder")
    check_fast(tokenizer)
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
    if source in NAMED or is_gguf(source):
        return load_text_model(load_model(source, tokenizer=tokenizer), None)
    check_folder(source, needs_tokenizer=tokenizer is None)
    config = read_config(source)
    kind = _kind((config.architectures or [""])[0], config)
    if kind == "causal":
        return load_text_model(load_model(source, tokenizer=tokenizer), None)
    classes = {
        "classifier": AutoModelForSequenceClassification,
        "seq2seq": AutoModelForSeq2SeqLM,
        "encoder": AutoModel,
    }
    with bars_on_terminals_only():
        # An encoder is read for its last states: a pooler that was not saved is not needed.
        hf = read_weights(classes[kind], source, spare=("pooler",) if kind == "encoder" else ())
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


def read_packed(
    rows: Sequence[TokenRow], most: int, read: Callable[[Sequence[TokenRow]], torch.Tensor]
) -> Float64[np.ndarray, "u k"]:
    """What ``read`` makes of token rows, in batches of at most ``most`` tokens, in the order of the rows."""
    outputs: dict[int, Float64[np.ndarray, " k"]] = {}
    with torch.inference_mode():
        for batch in pack_rows([row.shape[-1] for row in rows], most):
            of_batch = read([rows[i] for i in batch])
            outputs.update(zip(batch, of_batch.double().cpu().numpy(), strict=True))
    return np.stack([outputs[i] for i in range(len(rows))])
