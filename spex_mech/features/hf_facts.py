"""Facts of Hugging Face models that differ between families: context, padding, fingerprint."""

from __future__ import annotations

import hashlib
from typing import Any

import torch

_NO_LIMIT = 10**6  # tokenizers without a limit say 10^30


def context_of(config: Any, tokenizer: Any) -> int | None:
    """Longest input in tokens, as config and tokenizer tell; None where neither sets a limit."""
    text = config.get_text_config()
    limits = []
    if (most := getattr(text, "max_position_embeddings", None)) is not None:
        # RoBERTa's positions begin after the padding token's number.
        offset = (text.pad_token_id or 0) + 1 if "roberta" in text.model_type else 0
        limits.append(int(most) - offset)
    told = getattr(tokenizer, "model_max_length", None)
    if told is not None and told < _NO_LIMIT:
        limits.append(int(told))
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
