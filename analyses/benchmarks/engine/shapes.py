"""The models and questions of the benchmark.

Models are Llama shapes with random weights, or a checkpoint. Questions are random token ids, or those of a
task card.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import transformers

import spex_mech as sm
from spex_mech.tasks.prompts import Prompts, encode


@dataclass(frozen=True)
class Shape:
    """A Llama's sizes, and the checkpoint whose weights it has; None for random weights."""

    layers: int
    hidden: int
    inner: int
    heads: int
    kv_heads: int
    vocabulary: int
    checkpoint: str | None = None


# The small ones have the proportions of Llama-3.1-8B (inner 3.5 × hidden, four heads a key/value group).
SHAPES = {
    "128": Shape(32, 128, 448, 8, 2, 32_000),
    "512": Shape(32, 512, 1_792, 8, 2, 32_000),
    "smollm2": Shape(30, 576, 1_536, 9, 3, 49_152, "smollm2"),  # spex-mech get smollm2
    "llama-3.1-8b": Shape(32, 4_096, 14_336, 32, 8, 128_256),
    "llama-3.2-1b": Shape(16, 2_048, 8_192, 32, 8, 128_256),
}


@dataclass(frozen=True)
class Setting:
    """What is ablated on which questions.

    Attributes:
        title: what it stands for.
        players: their selection, by number of layers.
        shots: whether a prefix eight times as long as a question stands before all.
        masks: how many the engine scores in a repetition.
        targets: (against the plain loop, against TransformerLens) by shape: the goals.
    """

    title: str
    players: str
    shots: bool
    masks: int
    targets: dict[str, tuple[float | None, float | None]]


def settings(layers: int) -> dict[int, Setting]:
    """The four settings for a model of so many layers."""
    last, middle = f"heads:{layers - 3}-{layers - 1}", f"heads:{layers // 2 - 2}-{layers // 2}"
    anywhere = {"128", "512"}
    return {
        1: Setting(
            "last three layers", last, False, 64,
            {"128": (25, 60), "512": (15, 18), "smollm2": (None, 30)},
        ),
        2: Setting("three middle layers", middle, False, 8, {s: (2.2, None) for s in anywhere}),
        3: Setting("all layers, five shots", "heads", True, 8, {s: (6, None) for s in anywhere}),
        4: Setting(
            "all layers", "heads", False, 4,
            {s: (1.6, 2.5) for s in anywhere} | {"smollm2": (None, 1.8)},
        ),
    }  # fmt: skip


def model_of(shape: Shape, device: str, dtype: torch.dtype) -> sm.Model:
    """A Llama of a shape with random weights, made on the device, or the shape's checkpoint."""
    if shape.checkpoint is not None:
        return sm.load_model(shape.checkpoint, device=device, dtype=dtype)
    config = transformers.LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=8_192,
        rope_parameters={"rope_type": "default", "rope_theta": 500_000.0},
    )
    torch.manual_seed(0)
    with torch.device(device):
        before = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            hf = transformers.LlamaForCausalLM(config)
        finally:
            torch.set_default_dtype(before)
    return sm.load_model(hf.eval())


def prompts_of(setting: Setting, count: int, vocabulary: int, seed: int) -> Prompts:
    """Questions of 100 to 300 random tokens; with shots, of 30 to 50 after 320 shared ones."""
    rng = np.random.default_rng(seed)
    prefix = rng.integers(1, vocabulary, 320 if setting.shots else 0)
    low, high = (30, 51) if setting.shots else (100, 301)
    lengths = rng.integers(low, high, count)
    width = len(prefix) + int(lengths.max())
    ids, mask = np.zeros((count, width), dtype=np.int64), np.zeros((count, width), dtype=np.int64)
    for row, length in enumerate(lengths):
        own = rng.integers(1, vocabulary, length)
        ids[row, : len(prefix) + length] = np.concatenate([prefix, own])
        mask[row, : len(prefix) + length] = 1
    answers = np.tile(rng.choice(vocabulary, 4, replace=False), (count, 1))
    return encode(sm.TokenTask(ids, mask, answers=answers), "search", None, None)


def prompts_of_task(model: sm.Model, name: str, count: int) -> Prompts:
    """The first search questions of a task card."""
    return encode(sm.load_task(name).first(count), "search", model.tokenizer, None)
