"""Run the shipped model with some heads zeroed, one mask per batch row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb
from world import LETTERS, prompt_of

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "spex_mech" / "embedded"
TASKS = ROOT / "tasks" / "embedded"


def read_rows(subject: str, split: str) -> list[dict]:
    """The shipped rows of one split."""
    lines = (TASKS / f"{subject}.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["split"] == split]


class MaskedModel:
    """The model, with a head removed by zeroing its slice of the output projection's input.

    The forward pass is that of the stock modules, written out to save a third of the work: the
    heads of the first layer do not depend on the masks, and the last layer is needed at the last
    position only. The first answer of each object is compared with the stock forward pass.
    """

    def __init__(self, folder: Path = MODEL) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(folder).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.layers = self.model.config.num_hidden_layers
        self.heads = self.model.config.num_attention_heads
        self.letters = torch.tensor([self.tokenizer.convert_tokens_to_ids(a) for a in LETTERS])
        self._checked = False

    def _head_outputs(self, layer: Any, x: torch.Tensor, rotary: Any, last: bool) -> torch.Tensor:
        """What the heads of a layer hand to the output projection: (batch, places, heads, dim)."""
        attention, x = layer.self_attn, layer.input_layernorm(x)
        shape = (*x.shape[:2], -1, self.model.config.head_dim)
        q, k, v = (
            projection(x).view(shape).transpose(1, 2)
            for projection in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        q, k = apply_rotary_pos_emb(q, k, *rotary)
        if last:  # the last place sees all places, so no causal mask is needed
            q = q[:, :, -1:]
        z = F.scaled_dot_product_attention(q, k, v, is_causal=not last, enable_gqa=True)
        return z.transpose(1, 2)

    @torch.no_grad()
    def letter_logits(self, row: dict, masks: np.ndarray, chunk: int = 32) -> np.ndarray:
        """Logits of the four letters on one question under each mask.

        Args:
            row: a question.
            masks: (masks, layers * heads), 1 for a kept head.
            chunk: masks in one forward pass.
        """
        prompt = prompt_of(row["passage"], row["question"], row["choices"])
        ids = self.tokenizer(prompt, return_tensors="pt")["input_ids"]
        body = self.model.model
        embedded = body.embed_tokens(ids)
        rotary = body.rotary_emb(embedded, torch.arange(ids.shape[1])[None])
        first = self._head_outputs(body.layers[0], embedded, rotary, last=False)
        shape = (-1, self.layers, 1, self.heads, 1)
        result = []
        for keep in torch.tensor(masks, dtype=torch.float32).reshape(shape).split(chunk):
            x = embedded
            for number, layer in enumerate(body.layers):
                last = number == self.layers - 1
                z = self._head_outputs(layer, x, rotary, last) if number else first
                x = x[:, -1:] if last else x
                x = x + layer.self_attn.o_proj((z * keep[:, number]).flatten(2))
                x = x + layer.mlp(layer.post_attention_layernorm(x))
            result.append(self.model.lm_head(body.norm(x[:, -1]))[:, self.letters].numpy())
        if not self._checked:
            self._check(ids, row, masks.shape[1])
        return np.concatenate(result)

    def _check(self, ids: torch.Tensor, row: dict, heads: int) -> None:
        """Compare with the stock forward pass, heads zeroed by a hook."""
        self._checked = True
        rng = np.random.default_rng(0)
        mask = (rng.random((1, heads)) < 0.7).astype(np.float32)
        keep = torch.tensor(mask).reshape(self.layers, self.heads)
        hooks = []
        for layer, kept in zip(self.model.model.layers, keep, strict=True):
            scale = kept.repeat_interleave(self.model.config.head_dim)
            hooks.append(
                layer.self_attn.o_proj.register_forward_pre_hook(
                    lambda module, args, scale=scale: args[0] * scale
                )
            )
        stock = self.model(ids, use_cache=False).logits[0, -1, self.letters].numpy()
        for hook in hooks:
            hook.remove()
        np.testing.assert_allclose(self.letter_logits(row, mask)[0], stock, atol=1e-4)

    def scores(self, rows: list[dict], masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Whether each question is right, and its margin, under each mask.

        Returns:
            Two arrays of shape (masks, questions): right (0 or 1), and the margin, the logit of
            the right letter minus the best other letter's.
        """
        margins = np.empty((len(masks), len(rows)), dtype=np.float32)
        for i, row in enumerate(rows):
            logits = self.letter_logits(row, masks)
            others = np.delete(logits, row["answer"], axis=1).max(axis=1)
            margins[:, i] = logits[:, row["answer"]] - others
        return (margins > 0).astype(np.float32), margins
