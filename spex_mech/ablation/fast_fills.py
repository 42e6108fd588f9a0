"""Fills of the fast engine: those of `fills`, recorded through the fast forward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch

from spex_mech.ablation.fast_forward import Forward
from spex_mech.ablation.fills import Ablation, Filler
from spex_mech.prompts import Prompts


def prepare(
    ablation: Ablation, forward: Forward, hf: Any, prompts: Prompts, sites: Sequence[str]
) -> Filler:
    """The filler of a kind of ablation, without TransformerLens."""
    return ablation.filler(cast(Any, _Recorder(forward, hf)), prompts, sites)


def at_sites(
    filler: Filler, sites: Sequence[str], examples: Sequence[int], width: int, like: torch.Tensor
) -> dict[str, torch.Tensor]:
    """What removed parts of these examples become, site by site; sites that become zero are left out."""
    fill = filler.batch(examples, width)
    one_a_row = like.new_empty(len(examples))
    made = {site: fill(site, one_a_row) for site in sites}
    return {site: x.to(like) for site, x in made.items() if isinstance(x, torch.Tensor)}


class _Recorder:
    """As much of a TransformerBridge as recording activations takes."""

    def __init__(self, forward: Forward, hf: Any) -> None:
        self._forward, self.original_model = forward, hf

    def run_with_hooks(
        self,
        ids: torch.Tensor,
        *,
        fwd_hooks: Sequence[tuple[str, Callable[..., None]]],
        return_type: None = None,
    ) -> None:
        hooks = dict(fwd_hooks)

        def watch(site: str, activation: torch.Tensor) -> None:
            if site in hooks:
                hooks[site](activation, hook=None)

        layers = len(self._forward.decoder.blocks)
        self._forward.enter(ids, layers, gated=False, watch=watch)
