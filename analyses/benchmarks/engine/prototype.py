"""What a user might write in an hour: keep the stream before the first ablated layer, four logits only.

It stands here as a yardstick between the plain loop and the engine: six length buckets, every layer
from the first ablated one in full, one mask at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from sides import per_layer

import spex_mech as sm
from spex_mech.tasks.prompts import Prompts

BUCKETS = 6


def prototype_loop(model: sm.Model, prompts: Prompts, players: sm.PlayerSet) -> Callable:
    """Mask -> scores (e, k); the streams are computed by the first call."""
    hf, first = model.hf, min(p.layer for p in players)
    layers, heads = hf.model.layers, model.shape.n_heads
    order = np.argsort([len(t) for t in prompts.tokens], kind="stable")
    kept: list[tuple] = []

    def prepare() -> None:
        for rows in np.array_split(order, min(BUCKETS, len(order))):
            width = max(len(prompts.tokens[r]) for r in rows)
            ids = torch.tensor(
                [prompts.tokens[r] + (0,) * (width - len(prompts.tokens[r])) for r in rows],
                device=model.device,
            )
            stream = hf.model.embed_tokens(ids)
            turn = hf.model.rotary_emb(stream, torch.arange(width, device=model.device)[None])
            for layer in layers[:first]:
                stream = layer(stream, position_embeddings=turn, attention_mask=None)
            ends = torch.tensor([len(prompts.tokens[r]) - 1 for r in rows], device=model.device)
            head = hf.lm_head.weight[torch.from_numpy(prompts.answers[rows]).to(model.device)]
            kept.append((rows, stream, turn, ends, head))

    def score(mask: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            if not kept:
                prepare()
            gates = {
                layer: torch.from_numpy(k).to(model.device)[:, None]
                for layer, k in per_layer(players, mask, heads).items()
            }
            out = np.empty(prompts.answers.shape, dtype=np.float32)
            handles = [
                layers[i].self_attn.o_proj.register_forward_pre_hook(
                    lambda m, a, g=g: (a[0].unflatten(-1, (heads, -1)) * g.to(a[0])).flatten(-2)
                )
                for i, g in gates.items()
            ]
            try:
                for rows, stream, turn, ends, head in kept:
                    for layer in layers[first:]:
                        stream = layer(stream, position_embeddings=turn, attention_mask=None)
                    last = hf.model.norm(stream[torch.arange(len(rows)), ends])
                    out[rows] = torch.einsum("eh,ekh->ek", last, head).float().cpu().numpy()
            finally:
                for handle in handles:
                    handle.remove()
            return out

    return score
