"""The beginning of a text, read once by a causal model and shared by all masked texts that begin so."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers.cache_utils import DynamicCache, DynamicLayer

_SHORTEST = 4  # tokens that are not worth a cache
_ROUNDING = {torch.float32: 1e-4, torch.float64: 1e-9}


class Prefix:
    """Keys and values of a whole text, of which any beginning can be taken.

    Args:
        hf: the model.
        full: the whole text's token ids.
    """

    def __init__(self, hf: Any, full: npt.NDArray[np.int32]) -> None:
        self._hf, self._full = hf, full

    def shared(self, row: npt.NDArray[np.int32]) -> int:
        """Number of first tokens that a row shares with the whole text, at most all but its last one."""
        size = min(len(row) - 1, len(self._full) - 1)
        differs = np.flatnonzero(row[:size] != self._full[:size])
        same = int(differs[0]) if len(differs) else max(size, 0)
        return same if same >= _SHORTEST else 0

    def take(self, count: int, rows: int) -> DynamicCache:
        """A cache of the first ``count`` tokens for a batch of ``rows`` rows."""
        return DynamicCache(
            [
                (
                    keys[:, :, :count].expand(rows, -1, -1, -1),
                    values[:, :, :count].expand(rows, -1, -1, -1),
                )
                for keys, values in self._states
            ]
        )

    @cached_property
    def usable(self) -> bool:
        """Whether the model's states can be cut anywhere, and reading on from them changes nothing."""
        if len(self._full) <= _SHORTEST or not self._states:
            return False
        cut = max(_SHORTEST, len(self._full) // 2)
        ids = self._ids
        with torch.inference_mode():
            whole = self._hf(input_ids=ids, use_cache=False).logits[:, -1].float()
            rest = (
                self._hf(input_ids=ids[:, cut:], past_key_values=self.take(cut, 1), use_cache=True)
                .logits[:, -1]
                .float()
            )
        near = _ROUNDING.get(self._hf.dtype, 5e-2) * max(1.0, float(whole.abs().max()))
        return bool((whole - rest).abs().max() <= near)

    @cached_property
    def _states(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Keys and values (1, heads, t, d) of every layer; none where they are of another kind."""
        with torch.inference_mode():
            cache = self._hf(input_ids=self._ids, use_cache=True, logits_to_keep=1).past_key_values
        layers = getattr(cache, "layers", [])
        if not layers or any(type(layer) is not DynamicLayer for layer in layers):
            return []
        return [(layer.keys, layer.values) for layer in layers]

    @property
    def _ids(self) -> torch.Tensor:
        return torch.from_numpy(self._full.astype(np.int64))[None].to(self._hf.device)
