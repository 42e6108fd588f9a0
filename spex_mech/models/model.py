"""`Model`: a decoder-only language model ready to be ablated."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from spex_mech.core.errors import InputError
from spex_mech.core.players import ModelShape
from spex_mech.models.fingerprint import weights_fingerprint

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge


@dataclass(frozen=True, eq=False)
class Model:
    """A decoder-only language model ready to be ablated; its weights are never changed.

    Attributes:
        hf: the plain Hugging Face model, in evaluation mode, untouched by hooks.
        tokenizer: its tokenizer; None for models used with token ids only.
        name: where it came from.
    """

    hf: Any
    tokenizer: Any | None
    name: str

    def __post_init__(self) -> None:
        check_causal(type(self.hf).__name__, self.hf.config, self.name)
        if not self.compact:
            _ = self.shape  # a model without one is refused now

    @property
    def compact(self) -> bool:
        """Whether it is a compact export, whose layers keep unequally much."""
        return hasattr(self.hf.config, "compact_layers")

    @property
    def shape(self) -> ModelShape:
        """Numbers of layers, heads and key/value heads.

        Raises:
            InputError: a compact export, which has no single number of heads.
        """
        return shape_of(self.hf.config, self.name)

    @property
    def device(self) -> torch.device:
        """The device that holds the input embeddings."""
        return self.hf.get_input_embeddings().weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return self.hf.get_input_embeddings().weight.dtype

    @property
    def context(self) -> int | None:
        """The longest input in tokens; None where the architecture sets no limit."""
        return getattr(self.hf.config.get_text_config(), "max_position_embeddings", None)

    @cached_property
    def bridge(self) -> TransformerBridge:
        """The TransformerLens view of the model, sharing its weights.

        TransformerLens replaces submodules and forces eager attention in the module it wraps, so it
        is given a copy of the module tree that shares every tensor; ``hf`` stays as it was.
        """
        from transformer_lens.model_bridge.sources import build_bridge_from_module

        tensors = [*self.hf.parameters(), *self.hf.buffers()]
        shadow: nn.Module = copy.deepcopy(self.hf, {id(t): t for t in tensors})
        return build_bridge_from_module(
            shadow, type(self.hf).__name__, hf_config=shadow.config
        ).eval()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over architecture, names, dtypes and contents of all weights, as hexadecimal text."""
        return weights_fingerprint(self.hf)

    def __repr__(self) -> str:
        if self.compact:
            sizes = f"{len(self.hf.config.compact_layers)} layers of unequal size"
        else:
            s = self.shape
            sizes = f"{s.n_layers} layers x {s.n_heads} heads, {s.n_kv_heads} key/value heads"
        return (
            f"Model({self.name!r}, {type(self.hf).__name__}, {sizes}, {self.dtype}, {self.device})"
        )


def check_causal(architecture: str, config: Any, name: str) -> None:
    """Refuse a model that is not a decoder-only language model.

    Args:
        architecture: the class name of the model.
        config: its Hugging Face config.
        name: what an error calls it.

    Raises:
        InputError: an encoder, an encoder-decoder, or no language model at all.
    """
    text = config.get_text_config()
    known = architecture in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values() or "CausalLM" in architecture
    encoder = getattr(config, "is_encoder_decoder", False) or (
        hasattr(text, "is_decoder") and not text.is_decoder and _is_bidirectional(architecture)
    )
    if encoder or not known:
        raise InputError(
            f"{name!r} is a {architecture or 'model without a named architecture'}, expected a "
            "decoder-only language model such as LlamaForCausalLM or GPT2LMHeadModel"
        )


def _is_bidirectional(architecture: str) -> bool:
    """BERT-like language-model heads attend both ways unless their config says is_decoder."""
    family = (
        "Bert",
        "Roberta",
        "Electra",
        "Ernie",
        "Camembert",
        "XLMRoberta",
        "BigBird",
        "RoFormer",
    )
    return any(part in architecture for part in family)


def shape_of(config: Any, name: str) -> ModelShape:
    """Numbers of layers and heads as a Hugging Face config says them.

    Raises:
        InputError: a compact export, or a model whose layers differ; ``name`` is what it is called.
    """
    text = config.get_text_config()
    if hasattr(config, "compact_layers"):
        raise InputError(
            f"{name!r} is a compact export: its layers keep unequally much, so it has no players of "
            "its own; select players from the model that it was made from"
        )
    n_heads = getattr(text, "num_attention_heads", None)
    n_layers = getattr(text, "num_hidden_layers", None)
    if not (isinstance(n_heads, int) and isinstance(n_layers, int)):
        raise InputError(
            f"{name!r} has no single number of layers and attention heads in its config "
            f"({type(config).__name__}); models whose layers differ are not supported"
        )
    n_kv = getattr(text, "num_key_value_heads", None) or n_heads
    return ModelShape(n_layers, n_heads, n_kv)
