"""The model and its structured start.

A four-layer model of this size does not learn to match an answer to its letter within an hour
from the usual random start. So each key/value head begins with one 32-dimensional slice of an
orthonormal frame of the residual stream. Of the two query heads that share it, the even one
looks for earlier tokens with the same content (in the slowly rotating dimensions), the odd one
for a fixed distance back (in the fast ones), so that twins start apart.
"""

from __future__ import annotations

import torch
import world
from transformers import LlamaConfig, LlamaForCausalLM

LAYERS, HEADS, KV_HEADS, HEAD_DIM, WIDTH = 4, 8, 4, 32, 128
FAST = 6  # rotary frequencies used for distances; the slower ones hold content
CONSTANT = 0.5  # embedding dimension 0 is the same for all tokens: it carries the distance heads
# distance back of each head of the first layer; None: a content head
FIRST_LAYER = (1, 2, 3, 4, None, 2, 4, 1)


def make_config() -> LlamaConfig:
    """The stock Llama configuration of the shipped model."""
    return LlamaConfig(
        vocab_size=len(world.vocabulary()),
        hidden_size=WIDTH,
        intermediate_size=256,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        head_dim=HEAD_DIM,
        max_position_embeddings=512,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        tie_word_embeddings=True,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )


def _normal(rng: torch.Generator, *shape: int, std: float) -> torch.Tensor:
    return torch.randn(*shape, generator=rng) * std


def _frame(rng: torch.Generator) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=rng))[0]


def _distance_query(back: int, strength: float) -> torch.Tensor:
    """Query pattern that, rotated to its place, agrees with the key pattern `back` tokens ago."""
    column = torch.zeros(HEAD_DIM)
    frequency = 10000.0 ** (-torch.arange(FAST) / (HEAD_DIM // 2))
    column[:FAST] = strength * torch.cos(frequency * back)
    column[HEAD_DIM // 2 : HEAD_DIM // 2 + FAST] = -strength * torch.sin(frequency * back)
    return column


@torch.no_grad()
def make_model(seed: int) -> LlamaForCausalLM:
    """A fresh model with the structured start."""
    rng = torch.Generator().manual_seed(seed)
    model = LlamaForCausalLM(make_config())
    embedding = model.model.embed_tokens.weight
    embedding.copy_(_normal(rng, *embedding.shape, std=0.1))
    embedding[:, 0] = CONSTANT
    slow = torch.ones(HEAD_DIM)
    slow[:FAST] = 0
    slow[HEAD_DIM // 2 : HEAD_DIM // 2 + FAST] = 0
    for number, layer in enumerate(model.model.layers):
        attention, mlp = layer.self_attn, layer.mlp
        match, copy = _frame(rng), _frame(rng)
        match[:, 0] = 0
        copy[:, 0] = 0
        # the constant is diluted from layer to layer, so its query weights grow
        away = (0.17, 0.8, 1.6, 3.0)[number]
        strength = 1.4 if number == 0 else 0.4
        for kv in range(KV_HEADS):
            rows = slice(kv * HEAD_DIM, (kv + 1) * HEAD_DIM)
            key = slow[:, None] * match[rows] * 1.4 + _normal(rng, HEAD_DIM, WIDTH, std=0.02)
            key[:FAST, 0] += 1.4
            attention.k_proj.weight[rows] = key
            attention.v_proj.weight[rows] = copy[rows]
            for twin in (0, 1):
                head = 2 * kv + twin
                rows_q = slice(head * HEAD_DIM, (head + 1) * HEAD_DIM)
                back = FIRST_LAYER[head] if number == 0 else (None, 1 + (kv + number) % 4)[twin]
                query = _normal(rng, HEAD_DIM, WIDTH, std=0.04)
                if back is None:
                    query += slow[:, None] * match[rows] * 1.4
                    query[:, 0] -= _distance_query(0, away)  # not the token itself
                else:
                    query[:, 0] += _distance_query(back, strength)
                attention.q_proj.weight[rows_q] = query
                out = 0.12 * copy[rows].T
                if twin == 1:
                    out = 0.5 * out + 0.08 * _frame(rng)[:, :HEAD_DIM]
                attention.o_proj.weight[:, rows_q] = out
        for linear, std in ((mlp.gate_proj, 0.08), (mlp.up_proj, 0.08), (mlp.down_proj, 0.02)):
            linear.weight.copy_(_normal(rng, *linear.weight.shape, std=std))
    return model
