"""A GGUF file of the architecture ``deci`` as a model of Transformers, to be held to the one written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import LlamaForCausalLM

from spex_mech.core.errors import InputError
from spex_mech.models.modeling_compact import FAMILIES

_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OUTER = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_VOCABULARY = "tokenizer."


def read_deci(path: Path) -> tuple[Any, dict[str, Any]]:
    """Read a file that `GgufForm` wrote.

    Args:
        path: the file.

    Returns:
        A compact Llama in float32, made from the file's settings and tensors alone, and the file's
        settings of its vocabulary.

    Raises:
        InputError: tensors that are missing or left over, or an MLP of other width that is not zero.
    """
    from gguf import GGUFReader

    reader = GGUFReader(path)
    settings = {name: entry.contents() for name, entry in reader.fields.items()}
    tensors = {tensor.name: _tensor(tensor) for tensor in reader.tensors}
    vocabulary = {k: v for k, v in settings.items() if k.startswith(_VOCABULARY)}
    return _model(settings, tensors), vocabulary


def _model(settings: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Any:
    deci = {k.removeprefix("deci."): v for k, v in settings.items() if k.startswith("deci.")}
    queries, keys = deci["attention.head_count"], deci["attention.head_count_kv"]
    units = deci["feed_forward_length"]
    whole = max(units)
    plans = [
        {"groups": [q // k] * k if k else [], "bias": False, "mlp": u == whole}
        for q, k, u in zip(queries, keys, units, strict=True)
    ]
    compact = FAMILIES[LlamaForCausalLM]
    config = compact.config_class(
        compact_layers=plans,
        hidden_size=deci["embedding_length"],
        intermediate_size=whole,
        num_hidden_layers=deci["block_count"],
        num_attention_heads=1,  # of a layer before it gets its own number
        num_key_value_heads=1,
        head_dim=deci["attention.key_length"],
        rms_norm_eps=deci["attention.layer_norm_rms_epsilon"],
        rope_parameters={"rope_type": "default", "rope_theta": deci["rope.freq_base"]},
        max_position_embeddings=deci["context_length"],
        vocab_size=deci["vocab_size"],
        tie_word_embeddings="output.weight" not in tensors,
        attn_implementation="eager",
    )
    model = compact(config)
    factors = tensors.pop("rope_freqs.weight", None)
    if factors is not None:
        model.model.rotary_emb.inv_freq /= factors
    state = _state(tensors, plans, config.head_dim)
    if config.tie_word_embeddings:
        state["lm_head.weight"] = state["model.embed_tokens.weight"]
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(
            f"the GGUF file cannot be read back, so nothing was written: {error}"
        ) from error
    return model.eval()


def _state(
    tensors: dict[str, torch.Tensor], plans: list[dict[str, Any]], width: int
) -> dict[str, torch.Tensor]:
    """Tensors by Transformers' names; MLPs of zeros are left out."""
    state = {}
    for name, tensor in tensors.items():
        if not name.startswith("blk."):
            state[_OUTER[name]] = tensor
            continue
        _, layer, part, _ = name.split(".")
        if part.startswith("ffn") and not plans[int(layer)]["mlp"]:
            if part == "ffn_down" and tensor.any():
                raise InputError(
                    f"the GGUF file would not hold the masked model: {name} is not zero"
                )
            continue
        if part in ("attn_q", "attn_k"):
            tensor = tensor.unflatten(0, (-1, width // 2, 2)).transpose(1, 2).flatten(0, 2)
        state[f"model.layers.{layer}.{_NAMES[part]}.weight"] = tensor
    return state


def _tensor(tensor: Any) -> torch.Tensor:
    """A tensor of the file in float32, its rows first."""
    from gguf import dequantize

    return torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
