"""The two loops that the engine is compared with: TransformerLens, and plain Hugging Face with SDPA."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

import spex_mech as sm
from spex_mech.tasks.prompts import Prompts

Masked = dict[int, np.ndarray]
"""Layer -> bool (heads,), True = kept; layers of no player are left out."""


def per_layer(players: sm.PlayerSet, mask: np.ndarray, heads: int) -> Masked:
    """A mask over heads, layer by layer."""
    kept: Masked = {}
    for player, present in zip(players, mask, strict=True):
        kept.setdefault(player.layer, np.ones(heads, dtype=bool))[player.index] = present
    return kept


def padded(prompts: Prompts, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids (e, t) padded on the right, and the place of each last token."""
    width = max(len(t) for t in prompts.tokens)
    ids = torch.tensor([t + (0,) * (width - len(t)) for t in prompts.tokens], device=device)
    return ids, torch.tensor([len(t) - 1 for t in prompts.tokens], device=device)


def answers_of(logits: torch.Tensor, ends: torch.Tensor, answers: np.ndarray) -> np.ndarray:
    """Answer logits (e, k) at each prompt's last token."""
    last = logits[torch.arange(len(ends), device=ends.device), ends].float()
    return last.gather(1, torch.from_numpy(answers).to(ends.device)).cpu().numpy()


def lens_loop(model: sm.Model, prompts: Prompts, players: sm.PlayerSet) -> Callable:
    """Mask -> scores (e, k) by ``bridge.run_with_hooks`` over the padded batch."""
    ids, ends = padded(prompts, model.device)
    bridge, heads = model.bridge, model.shape.n_heads

    def score(mask: np.ndarray) -> np.ndarray:
        def zeroing(kept: np.ndarray) -> Callable:
            gate = torch.from_numpy(kept).to(model.device)[:, None]
            return lambda z, hook: z * gate.to(z)

        kept = per_layer(players, mask, heads)
        hooks = [(f"blocks.{layer}.attn.hook_z", zeroing(k)) for layer, k in kept.items()]
        with torch.inference_mode():
            return answers_of(bridge.run_with_hooks(ids, fwd_hooks=hooks), ends, prompts.answers)

    return score


def plain_loop(model: sm.Model, prompts: Prompts, players: sm.PlayerSet) -> Callable:
    """Mask -> scores (e, k) by hooks on the output projections of the Hugging Face model."""
    ids, ends = padded(prompts, model.device)
    heads = model.shape.n_heads

    def score(mask: np.ndarray) -> np.ndarray:
        def zeroing(kept: np.ndarray) -> Callable:
            gate = torch.from_numpy(kept).to(model.device)[:, None]

            def hook(module: torch.nn.Module, args: tuple) -> torch.Tensor:
                z = args[0].unflatten(-1, (heads, -1))
                return (z * gate.to(z)).flatten(-2)

            return hook

        handles = [
            model.hf.model.layers[layer].self_attn.o_proj.register_forward_pre_hook(zeroing(k))
            for layer, k in per_layer(players, mask, heads).items()
        ]
        try:
            with torch.inference_mode():
                return answers_of(model.hf(ids, use_cache=False).logits, ends, prompts.answers)
        finally:
            for handle in handles:
                handle.remove()

    return score
