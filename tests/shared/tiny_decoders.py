"""Tiny random models of 65 kinds of decoders, and what Hugging Face's own code says of them when ablated.

The truth here is plain: forward hooks on the Hugging Face modules, one prompt at a time, no padding. A head
is removed where the output projection reads it, an MLP and a layer's attention where they write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
import transformers
from torch import nn

N_LAYERS, N_HEADS, VOCABULARY = 2, 4, 61
_BASE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": N_LAYERS,
    "num_attention_heads": N_HEADS,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_GROUPED = {**_BASE, "num_key_value_heads": 2}
_GPT2 = {
    "vocab_size": VOCABULARY,
    "n_embd": 32,
    "n_layer": N_LAYERS,
    "n_head": N_HEADS,
    "n_positions": 64,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_FALCON = {**{k: v for k, v in _BASE.items() if k != "intermediate_size"}, "bias": False}
_MLA = {
    "kv_lora_rank": 16,
    "q_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
    "num_key_value_heads": 4,
    "first_k_dense_replace": 1,
    "moe_intermediate_size": 16,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
}
_EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2}

CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", _GROUPED),
    "llama-hd": ("Llama", {**_GROUPED, "head_dim": 16}),
    "qwen2": ("Qwen2", _GROUPED),
    "qwen3": ("Qwen3", {**_GROUPED, "head_dim": 16}),
    "gpt2": ("GPT2", _GPT2),
    "pythia": ("GPTNeoX", _BASE),
    "neox-series": ("GPTNeoX", {**_BASE, "use_parallel_residual": False}),
    "gemma": ("Gemma", {**_BASE, "num_key_value_heads": 1, "head_dim": 16}),
    "gemma2": ("Gemma2", {**_GROUPED, "head_dim": 16}),
    "gemma2-window": ("Gemma2", {**_GROUPED, "head_dim": 16, "sliding_window": 4}),
    "gemma3-text": ("Gemma3Text", {**_GROUPED, "head_dim": 16, "sliding_window": 4}),
    "gemma3-4b-multimodal": ("Gemma3", {}),
    "mistral-window": ("Mistral", {**_GROUPED, "sliding_window": 4}),
    "phi": ("Phi", _BASE),
    "phi-qknorm": ("Phi", {**_BASE, "qk_layernorm": True}),
    "phi3": ("Phi3", _GROUPED),
    "opt": ("OPT", {**_BASE, "ffn_dim": 48, "word_embed_proj_dim": 32}),
    "opt-350m-like": (
        "OPT",
        {**_BASE, "ffn_dim": 48, "word_embed_proj_dim": 16, "do_layer_norm_before": False},
    ),
    "bloom": ("Bloom", {**_GPT2, "hidden_size": 32}),
    "olmo": ("Olmo", _GROUPED),
    "olmo2": ("Olmo2", _GROUPED),
    "olmo3": ("Olmo3", {**_GROUPED, "sliding_window": 4}),
    "falcon-7b-mqa": ("Falcon", {**_FALCON, "multi_query": True}),
    "falcon-40b-gqa": (
        "Falcon",
        {**_FALCON, "new_decoder_architecture": True, "num_kv_heads": 2},
    ),
    "falcon-rw-alibi": (
        "Falcon",
        {**_FALCON, "alibi": True, "multi_query": False, "parallel_attn": False, "bias": True},
    ),
    "stablelm": ("StableLm", {**_GROUPED, "use_qkv_bias": True}),
    "stablelm-parallel": (
        "StableLm",
        {**_GROUPED, "use_parallel_residual": True, "qk_layernorm": True},
    ),
    "gptj": ("GPTJ", {**_GPT2, "rotary_dim": 4}),
    "gpt-neo": (
        "GPTNeo",
        {
            **_BASE,
            "num_layers": N_LAYERS,
            "num_heads": N_HEADS,
            "attention_types": [[["global", "local"], 1]],
            "window_size": 4,
        },
    ),
    "codegen": ("CodeGen", {**_GPT2, "rotary_dim": 4}),
    "gpt-bigcode-mqa": ("GPTBigCode", {**_GPT2, "multi_query": True}),
    "starcoder2": ("Starcoder2", _GROUPED),
    "granite": ("Granite", {**_GROUPED, "residual_multiplier": 0.5, "attention_multiplier": 0.3}),
    "cohere": ("Cohere", _GROUPED),
    "cohere2": ("Cohere2", {**_GROUPED, "sliding_window": 4}),
    "mpt": (
        "Mpt",
        {
            "vocab_size": VOCABULARY,
            "d_model": 32,
            "n_heads": N_HEADS,
            "n_layers": N_LAYERS,
            "max_seq_len": 64,
        },
    ),
    "smollm3": ("SmolLM3", _GROUPED),
    "qwen3-moe": (
        "Qwen3Moe",
        {**_GROUPED, **_EXPERTS, "head_dim": 8, "moe_intermediate_size": 16},
    ),
    "qwen2-moe": (
        "Qwen2Moe",
        {
            **_GROUPED,
            **_EXPERTS,
            "moe_intermediate_size": 16,
            "shared_expert_intermediate_size": 16,
        },
    ),
    "mixtral": ("Mixtral", {**_GROUPED, "num_local_experts": 4}),
    "olmoe": ("Olmoe", {**_GROUPED, **_EXPERTS}),
    "gpt-oss": (
        "GptOss",
        {
            **_GROUPED,
            "head_dim": 8,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "sliding_window": 4,
        },
    ),
    "llama4-text": (
        "Llama4Text",
        {
            **_GROUPED,
            "head_dim": 8,
            "intermediate_size_mlp": 48,
            "num_local_experts": 4,
            "interleave_moe_layer_step": 2,
            "attention_chunk_size": 64,
        },
    ),
    "deepseek-v2": ("DeepseekV2", {**_BASE, **_MLA, "topk_method": "greedy"}),
    "deepseek-v3": (
        "DeepseekV3",
        {**_BASE, **_MLA, "n_group": 1, "topk_group": 1},
    ),
    "nemotron": ("Nemotron", {**_GROUPED, "head_dim": 8}),
    "glm": ("Glm", {**_GROUPED, "head_dim": 8}),
    "glm4": ("Glm4", {**_GROUPED, "head_dim": 8}),
    "ernie4.5": ("Ernie4_5", {**_GROUPED, "head_dim": 8}),
    "exaone4": ("Exaone4", {**_GROUPED, "sliding_window": 4, "sliding_window_pattern": 2}),
    "seed-oss": ("SeedOss", {**_GROUPED, "head_dim": 8}),
    "arcee": ("Arcee", {**_GROUPED, "head_dim": 8}),
    "apertus": ("Apertus", _GROUPED),
    "xglm": (
        "XGLM",
        {
            **_BASE,
            "d_model": 32,
            "ffn_dim": 48,
            "num_layers": N_LAYERS,
            "attention_heads": N_HEADS,
        },
    ),
    "bitnet": ("BitNet", _GROUPED),
    "bert-decoder": ("Bert", {**_BASE, "is_decoder": True}),
    "jamba": (
        "Jamba",
        {
            **_GROUPED,
            **_EXPERTS,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "expert_layer_period": 2,
            "expert_layer_offset": 1,
            "use_mamba_kernels": False,
            "mamba_d_state": 4,
            "mamba_dt_rank": 4,
        },
    ),
    "lfm2": (
        "Lfm2",
        {
            **_GROUPED,
            "layer_types": ["conv", "full_attention"],
            "block_multiple_of": 8,
        },
    ),
    "qwen3-next": (
        "Qwen3Next",
        {
            **_GROUPED,
            **_EXPERTS,
            "head_dim": 8,
            "layer_types": ["linear_attention", "full_attention"],
            "linear_num_value_heads": 4,
            "linear_num_key_heads": 2,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            "moe_intermediate_size": 16,
            "shared_expert_intermediate_size": 16,
        },
    ),
    "granite-hybrid": (
        "GraniteMoeHybrid",
        {
            **_GROUPED,
            "num_local_experts": 4,
            "num_experts_per_tok": 2,
            "shared_intermediate_size": 16,
            "layer_types": ["mamba", "attention"],
            "mamba_n_heads": 4,
            "mamba_d_head": 16,
            "mamba_d_state": 8,
            "mamba_chunk_size": 8,
        },
    ),
    "helium": ("Helium", {**_GROUPED, "head_dim": 8}),
    "persimmon": ("Persimmon", _BASE),
    "biogpt": ("BioGpt", _BASE),
    "diffllama": ("DiffLlama", {**_GROUPED, "head_dim": 8}),
    "mamba": (
        "Mamba",
        {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": N_LAYERS},
    ),
}
_CLASS_OF = {"Gemma3Text": "Gemma3ForCausalLM", "Bert": "BertLMHeadModel"}
_CLASS_OF |= {"GPT2": "GPT2LMHeadModel", "Llama4Text": "Llama4ForCausalLM"}
_CLASS_OF |= {"Gemma3": "Gemma3ForConditionalGeneration"}


def tiny_decoder(name: str, dtype: torch.dtype = torch.float32, **settings: Any) -> Any:
    """A random model of a kind, with weights large enough that every part matters.

    Args:
        name: one of `CONFIGS`.
        dtype: dtype of the weights.
        settings: settings of the config in place of those of `CONFIGS`.
    """
    family, values = CONFIGS[name]
    config_class = getattr(transformers, f"{family}Config")
    if family == "Gemma3":
        text = transformers.Gemma3TextConfig(**{**CONFIGS["gemma3-text"][1]}).to_dict()
        vision = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
        vision |= {"num_attention_heads": 2, "image_size": 8, "patch_size": 4}
        config = config_class(text_config=text, vision_config=vision, mm_tokens_per_image=4)
    else:
        config = config_class(**{**values, **settings})
    model_class = getattr(transformers, _CLASS_OF.get(family, f"{family}ForCausalLM"))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = model_class(config)
        for key, parameter in model.named_parameters():
            if parameter.ndim >= 2 and "conv" not in key:
                nn.init.normal_(parameter, std=0.5 if "embed" in key or "wte" in key else 0.15)
            elif key.endswith("bias"):
                nn.init.normal_(parameter, std=0.1)
    return model.to(dtype).eval()


def layers_of(hf: Any) -> nn.ModuleList:
    """The decoder's layers."""
    return next(
        module
        for name, module in hf.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == N_LAYERS and "vision" not in name
    )


def _first(module: Any, *paths: str) -> Any:
    for path in paths:
        try:
            return module.get_submodule(path)
        except AttributeError:
            continue
    return None


def output_projection(layer: Any) -> nn.Module | None:
    """The linear map that the heads' outputs go through; None in a layer without attention."""
    attention = _first(layer, "self_attn", "attn.attention", "attn", "attention", "self_attention")
    if attention is None:
        return None
    names = ("o_proj", "out_proj", "c_proj", "dense", "output.dense")
    return _first(attention, *names)


def mlp_output(layer: Any) -> nn.Module:
    """The module whose output is what the MLP writes."""
    names = ("mlp.dense_4h_to_h", "ffn.down_proj", "mlp", "feed_forward", "block_sparse_moe")
    names = (*names, "fc2", "output.dense")
    part = _first(layer, *names)
    assert part is not None
    return part


def attention_output(layer: Any) -> nn.Module:
    """The module whose output is what attention writes, its bias included."""
    part = output_projection(layer)
    assert part is not None
    return part


@contextmanager
def ablated(hf: Any, heads: np.ndarray, mlps: np.ndarray, attention: np.ndarray) -> Iterator[None]:
    """Hugging Face's model without some parts; True = kept, (layers, heads), (layers,), (layers,).

    Heads may be given as numbers, by which their outputs are multiplied.
    """
    with ExitStack() as stack:
        for i, layer in enumerate(layers_of(hf)):
            if (heads[i] != 1).any():
                projection = output_projection(layer)
                assert projection is not None
                handle = projection.register_forward_pre_hook(_without_heads(heads[i]))
                stack.callback(handle.remove)
            if not attention[i]:
                handle = attention_output(layer).register_forward_hook(_nothing)
                stack.callback(handle.remove)
            if not mlps[i]:
                handle = mlp_output(layer).register_forward_hook(_nothing)
                stack.callback(handle.remove)
        yield


def _without_heads(kept: np.ndarray) -> Callable:
    def hook(module: Any, args: tuple) -> Any:
        by_head = args[0].unflatten(-1, (len(kept), -1))
        left = by_head * torch.from_numpy(kept).to(by_head)[:, None]
        return (left.flatten(-2), *args[1:])

    return hook


def _nothing(module: Any, args: Any, output: Any) -> Any:
    if isinstance(output, tuple):
        return (output[0] * 0, *output[1:])
    return output * 0


def last_logits(hf: Any, prompts: list[list[int]]) -> np.ndarray:
    """Logits (prompts, vocabulary) at each prompt's last token, each prompt alone."""
    with torch.no_grad():
        rows = [hf(torch.tensor([ids]), use_cache=False).logits[0, -1].float() for ids in prompts]
    return torch.stack(rows).numpy()
