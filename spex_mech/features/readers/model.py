"""Facts of Hugging Face models that differ between families: context, padding, fingerprint."""

from __future__ import annotations

import hashlib
import inspect
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from spex_mech.features.readers.batches import TOKENS

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
    digest = hashlib.sha256(type(hf).__name__.encode())
    for name, tensor in hf.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return {"weights": digest.hexdigest(), "dtype": str(hf.dtype)}
