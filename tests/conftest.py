"""Shared fixtures: tiny random models of several families, and reports without pictures."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import hypothesis
import pytest
import torch
import transformers
from pictures import leave_out_pictures

import spex_mech as sm
from spex_mech.models.fingerprint import weights_fingerprint

# The same examples on every run, however slow the machine.
hypothesis.settings.register_profile("fixed", deadline=None, derandomize=True)
hypothesis.settings.load_profile("fixed")


def pytest_collection_finish() -> None:
    """Spare what the tests' modules import when garbage is looked for: it is much, and it stays."""
    gc.collect()
    gc.freeze()


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


_TINY: dict[
    str, sm.Model
] = {}  # of each family; with its TransformerLens view, which takes longest


def _state(model: sm.Model) -> tuple:
    """What a test could leave changed in a model."""
    hf = model.hf
    bridge = vars(model).get("bridge")
    hooks = [] if bridge is None else [point.fwd_hooks for point in bridge.hook_dict.values()]
    return (
        weights_fingerprint(hf),
        (hf.config.to_json_string(), hf.config._attn_implementation, str(hf.generation_config)),
        [(p, p.requires_grad, p.grad) for p in hf.parameters()],
        [
            (type(m), m.training, m.forward, [*m._forward_hooks], [*m._forward_pre_hooks])
            for m in hf.modules()
        ],
        {k: v for k, v in vars(model).items() if k not in ("bridge", "fingerprint")},
        any(hooks),
    )


def _unchanged(before: tuple, after: tuple) -> bool:
    same_parameters = len(before[2]) == len(after[2]) and all(
        a[0] is b[0] and a[1] == b[1] and a[2] is b[2]
        for a, b in zip(before[2], after[2], strict=True)
    )
    return same_parameters and before[:2] + before[3:] == after[:2] + after[3:]


def _lend(family: str, module: object) -> Iterator[sm.Model]:
    """A family's model: a new one, or where ``SHARED_MODELS`` is true the one that is there already.

    That one stays for the next test unless this one changes it.
    """
    if not getattr(module, "SHARED_MODELS", False):
        yield sm.load_model(tiny_hf(family))
        return
    model = _TINY.pop(family, None) or sm.load_model(tiny_hf(family))
    before = _state(model)
    yield model
    if _unchanged(before, _state(model)):
        _TINY[family] = model


@pytest.fixture
def tiny(family: str, request: pytest.FixtureRequest) -> Iterator[sm.Model]:
    """A tiny random model of each family in turn."""
    yield from _lend(family, request.module)


@pytest.fixture
def tiny_llama(request: pytest.FixtureRequest) -> Iterator[sm.Model]:
    """A tiny random Llama with grouped-query attention."""
    yield from _lend("llama", request.module)


@pytest.fixture
def undrawn(monkeypatch) -> None:
    """Reports are written without the pictures themselves, for tests of the words and files."""
    leave_out_pictures(monkeypatch)
