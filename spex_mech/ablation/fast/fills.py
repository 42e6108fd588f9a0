"""Fills of the fast engine: those of `fills`, recorded through the fast forward pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch

from spex_mech.ablation.fast.forward import Forward
from spex_mech.ablation.fast.layout import Layout
from spex_mech.ablation.fills import Ablation, Filler
from spex_mech.tasks.prompts import Prompts


def prepare(
    ablation: Ablation, forward: Forward, hf: Any, prompts: Prompts, sites: Sequence[str]
) -> Filler:
    """The filler of a kind of ablation, without TransformerLens."""
    return ablation.filler(cast(Any, _Recorder(forward, hf)), prompts, sites)


def at_sites(
    filler: Filler,
    sites: Sequence[str],
    examples: Sequence[int],
    layout: Layout,
    like: torch.Tensor,
) -> dict[str, torch.Tensor]:
    """What removed parts of these examples become, site by site; sites that become zero are left out.

    Fills of single tokens come as (t, ...), one for each token of the layout.
    """
    fill = filler.batch(examples, int(layout.widths.max()))
    one_a_row = like.new_empty(len(examples))
    made = {site: fill(site, one_a_row) for site in sites}
    prompt = torch.from_numpy(np.repeat(np.arange(len(layout)), layout.widths)).to(like.device)
    position = torch.from_numpy(layout.positions).to(like.device)
    ndim = {site: 4 if site.endswith("hook_z") else 3 for site in sites}
    return {
        site: (x[prompt, position] if x.ndim == ndim[site] else x).to(like)
        for site, x in made.items()
        if isinstance(x, torch.Tensor)
    }


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
                hooks[site](activation.unflatten(0, ids.shape), hook=None)

        layers = len(self._forward.decoder.blocks)
        where = self._forward.frame(Layout(np.full(len(ids), ids.shape[1])))
        self._forward.enter(ids.flatten(), where, layers, gated=False, watch=watch)
