"""Shared fixtures: tiny random models of several families, built in memory."""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import hypothesis
import pytest
import torch
import transformers

import spex_mech as sm

# The same examples on every run, however slow the machine.
hypothesis.settings.register_profile("fixed", deadline=None, derandomize=True)
hypothesis.settings.load_profile("fixed")

_COMMON = {
    "vocab_size": 61,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
FAMILIES = {
    "llama": lambda: transformers.LlamaConfig(**_COMMON, num_key_value_heads=2, head_dim=8),
    "qwen2": lambda: transformers.Qwen2Config(**_COMMON, num_key_value_heads=2),
    "qwen3": lambda: transformers.Qwen3Config(**_COMMON, num_key_value_heads=2, head_dim=16),
    "gpt2": lambda: transformers.GPT2Config(
        vocab_size=61, n_embd=32, n_layer=3, n_head=4, n_positions=64
    ),
    "gemma": lambda: transformers.GemmaConfig(**_COMMON, num_key_value_heads=1, head_dim=16),
    "gemma2": lambda: transformers.Gemma2Config(**_COMMON, num_key_value_heads=2, head_dim=16),
    "mistral": lambda: transformers.MistralConfig(**_COMMON, num_key_value_heads=2, head_dim=8),
}


def tiny_hf(family: str, seed: int = 0) -> torch.nn.Module:
    """A random model of a family, with weights large enough that every head matters."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(FAMILIES[family]())
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2 and "embed" not in name and "wte" not in name:
                torch.nn.init.normal_(parameter, std=0.15)
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


@pytest.fixture(params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> str:
    """Each model family in turn."""
    return request.param


@pytest.fixture
def tiny(family: str) -> sm.Model:
    """A tiny random model of each family in turn."""
    return sm.load_model(tiny_hf(family))


@pytest.fixture
def tiny_llama() -> sm.Model:
    """A tiny random Llama with grouped-query attention."""
    return sm.load_model(tiny_hf("llama"))
