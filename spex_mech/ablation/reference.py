"""The reference engine: TransformerLens hooks, full logits, one mask per batch row.

It defines the numbers; every faster engine must reproduce them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float32, Float64, Int64

from spex_mech.ablation.fills import Ablation, Fill, Filler, bridge_recorder, pad
from spex_mech.ablation.gates import Gates, spread
from spex_mech.ablation.rotary import side_of
from spex_mech.ablation.scores import scores_of_logits
from spex_mech.ablation.sites import check_sites, over_heads
from spex_mech.core.errors import InputError
from spex_mech.core.players import PlayerSet
from spex_mech.models.model import Model
from spex_mech.tasks.prompts import Prompts

# Small batches stay in a CPU's cache; large ones fill a GPU.
_CPU_TOKENS, _GPU_TOKENS = 2_048, 16_384
_LOGITS_PER_BATCH = 2**28


class ReferenceEngine:
    """Scores ablated models on prompts through `TransformerBridge.run_with_hooks`.

    Prompts are padded on the right and scored at their own last token, so padding never reaches an
    answer. Rows are independent: the batch they run in does not matter beyond float rounding.

    Raises:
        InputError: a model that TransformerLens does not support, or that has no place at which a player
            can be removed.
    """

    def __init__(
        self, model: Model, prompts: Prompts, players: PlayerSet, ablation: Ablation
    ) -> None:
        self._model, self._prompts, self._players = model, prompts, players
        self._ablation = ablation
        self._filler: Filler | None = None
        vocabulary = model.hf.get_output_embeddings().weight.shape[0]
        most = _CPU_TOKENS if model.device.type == "cpu" else _GPU_TOKENS
        self._max_tokens = max(1, min(most, _LOGITS_PER_BATCH // vocabulary))
        self._side = side_of(model.hf)
        self._check_donors()
        none = np.zeros((1, players.n), dtype=bool)
        self._sites = [site for site, _ in closed(spread(players, model.shape, none))]
        check_sites(model, self._sites)

    def scores(self, masks: Bool[np.ndarray, "m n"]) -> Float32[np.ndarray, "m e ..."]:
        """Scores of every ablated model on every prompt.

        Args:
            masks: bool (m, n), True = present.

        Returns:
            Answer logits, float32 (m, e, k); or log-probabilities (m, rows) of prompts without
            answers: sums over each row's targets, or means over all its tokens where it has none.
        """
        gates = spread(self._players, self._model.shape, masks)
        m, e = len(gates), len(self._prompts)
        out = np.empty((m, e, *self._answers_shape()), dtype=np.float32)
        for examples in self._groups(np.arange(e)):
            width = max(len(self._prompts.tokens[i]) for i in examples)
            at_once = max(1, self._max_tokens // (width * len(examples)))
            ids = pad(self._prompts, examples, width, self._model.device)
            fill = self._fill(examples, width)
            for start in range(0, m, at_once):
                rows = slice(start, min(start + at_once, m))
                count = rows.stop - rows.start
                logits = self._forward(gates[rows], ids.repeat(count, 1), fill, len(examples))
                logits = logits.unflatten(0, (count, len(examples)))
                scores = scores_of_logits(self._prompts, examples, ids, logits, dtype=torch.float32)
                out[rows, examples] = scores.cpu().numpy()
        return out

    def pair_scores(
        self, masks: Bool[np.ndarray, "m n"], pairs: Int64[np.ndarray, "p 2"]
    ) -> Float32[np.ndarray, "p ..."]:
        """Scores of some ablated models on some prompts: every batch row is a mask and its own prompt.

        Args:
            masks: bool (m, n), True = present.
            pairs: int64 (p, 2), a mask and a row of the prompts.

        Returns:
            float32 (p, ...): what `scores` has at ``[mask, row]`` of each pair.
        """
        gates = spread(self._players, self._model.shape, masks)
        out = np.empty((len(pairs), *self._answers_shape()), dtype=np.float32)
        for group in self._groups(pairs[:, 1]):
            rows = pairs[group, 1]
            width = max(len(self._prompts.tokens[i]) for i in rows)
            ids = pad(self._prompts, rows, width, self._model.device)
            logits = self._forward(gates[pairs[group, 0]], ids, self._fill(rows, width), 1)[None]
            scores = scores_of_logits(self._prompts, rows, ids, logits, dtype=torch.float32)
            out[group] = scores[0].cpu().numpy()
        return out

    def asking_cost(self) -> tuple[float, float]:
        """Tokens that every mask runs, which are none, and mean tokens of a question."""
        return 0.0, sum(len(t) for t in self._prompts.tokens) / len(self._prompts.ids)

    def _answers_shape(self) -> tuple[int, ...]:
        answers = self._prompts.answers
        return () if answers is None else answers.shape[1:]

    def _groups(self, rows: Int64[np.ndarray, " k"]) -> Iterator[Int64[np.ndarray, " g"]]:
        """Places in ``rows`` of prompts of similar length that fill at most one batch with a single mask."""
        lengths = np.array([len(self._prompts.tokens[row]) for row in rows])
        group: list[int] = []
        for i in np.argsort(lengths, kind="stable"):
            length = int(lengths[i])
            apart = group and self._side(length) != self._side(int(lengths[group[0]]))
            if apart or (group and (len(group) + 1) * length > self._max_tokens):
                yield np.array(group)
                group = []
            group.append(int(i))
        if group:
            yield np.array(group)

    def _check_donors(self) -> None:
        """Donors of resample ablation stand in one batch, whatever their lengths.

        Partners are as long as their prompts, so they are on the same side.
        """
        sides = {self._side(len(tokens)) for tokens in self._prompts.tokens}
        if self._ablation.of_example and not self._ablation.paired and len(sides) > 1:
            raise InputError(
                f"{self._ablation.name} ablation mixes prompts, and {self._model.name!r} turns prompts "
                "beyond original_max_position_embeddings by other rotary angles (LongRoPE); use zero or "
                "mean, or prompts on one side of that length"
            )

    def _fill(self, examples: np.ndarray, width: int) -> Fill:
        if self._filler is None:
            self._filler = self._ablation.filler(
                bridge_recorder(self._model.bridge), self._prompts, self._sites
            )
        return self._filler.batch([int(i) for i in examples], width)

    def _forward(self, gates: Gates, ids: torch.Tensor, fill: Fill, repeats: int) -> torch.Tensor:
        """Logits (rows, tokens, vocabulary); row r runs mask r // repeats."""
        scale = gates.head_scale() if self._ablation.rescale else None
        hooks = removal_hooks(gates, fill, ids.device, scale=scale, repeats=repeats)
        with torch.inference_mode():
            return self._model.bridge.run_with_hooks(ids, fwd_hooks=hooks)


def removal_hooks(
    gates: Gates,
    fill: Fill,
    device: torch.device,
    *,
    scale: Float64[np.ndarray, "m l"] | None = None,
    repeats: int = 1,
) -> list[tuple[str | Callable, Callable]]:
    """TransformerLens hooks that remove from each batch row what its mask removes.

    Args:
        gates: what each mask keeps.
        fill: what removed parts become.
        device: where the batch is.
        scale: what the kept heads of each layer are multiplied by.
        repeats: row r of the batch has mask r // repeats.
    """

    def rows(keep: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(keep).to(device).repeat_interleave(repeats, dim=0)

    return [(site, _hook(site, rows(keep), fill)) for site, keep in closed(gates, scale)]


def closed(
    gates: Gates, scale: Float64[np.ndarray, "m l"] | None = None
) -> Iterator[tuple[str, np.ndarray]]:
    """The sites at which some row removes something, with what is kept there.

    Heads come as (m, heads), scaled where they are to be; attention and MLP outputs as (m,).
    """
    for layer in range(gates.heads.shape[1]):
        heads = gates.heads[:, layer]
        if not heads.all():
            yield (
                f"blocks.{layer}.attn.hook_z",
                heads if scale is None else heads * scale[:, layer, None],
            )
        for site, keep in (("hook_attn_out", gates.attention), ("hook_mlp_out", gates.mlps)):
            if not keep[:, layer].all():
                yield f"blocks.{layer}.{site}", keep[:, layer]


def _hook(site: str, keep: torch.Tensor, fill: Fill) -> Callable[..., torch.Tensor]:
    """Keep (bool) or scale (float) the rows' entries, (rows,) or (rows, heads), and fill those at 0."""

    def hook_fn(activation: torch.Tensor, hook: Any) -> torch.Tensor:
        factor = keep[:, None, None] if keep.ndim == 1 else over_heads(keep, activation)
        kept = activation if factor.dtype == torch.bool else activation * factor.to(activation)
        return torch.where(
            factor != 0, kept, torch.as_tensor(fill(site, activation)).to(activation)
        )

    return hook_fn
