"""What removed parts become in the fast engine: fills as in `ablation.fills`, from the fast forward pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from spex_mech.ablation.fast.forward import Forward
from spex_mech.ablation.fast.layout import Layout
from spex_mech.ablation.fills import Filler, Record


def forward_recorder(forward: Forward) -> Record:
    """Record activations through the fast forward pass, without TransformerLens."""

    def record(ids: torch.Tensor, sites: Sequence[str]) -> dict[str, torch.Tensor]:
        activations: dict[str, torch.Tensor] = {}

        def watch(site: str, activation: torch.Tensor) -> None:
            if site in sites:
                activations[site] = activation.unflatten(0, ids.shape)

        layers = len(forward.decoder.blocks)
        frame = forward.frame(Layout(np.full(len(ids), ids.shape[1])))
        tokens = ids.flatten().to(forward.decoder.head.device)
        with torch.inference_mode():
            forward.enter(tokens, frame, layers, gated=False, watch=watch)
        return activations

    return record


def at_sites(
    filler: Filler,
    sites: Sequence[str],
    examples: Sequence[int],
    layout: Layout,
    like: torch.Tensor,
) -> dict[str, torch.Tensor]:
    """What removed parts of these examples become, by site; sites that become zero are left out.

    Fills of single tokens come as (t, ...), one for each token of the layout.
    """
    fill = filler.batch(examples, int(layout.widths.max()))
    one_per_row = like.new_empty(len(examples))
    filled = {site: fill(site, one_per_row) for site in sites}
    prompt = torch.from_numpy(np.repeat(np.arange(len(layout)), layout.widths)).to(like.device)
    position = torch.from_numpy(layout.positions).to(like.device)
    ndim = {site: 4 if site.endswith("hook_z") else 3 for site in sites}
    return {
        site: (x[prompt, position] if x.ndim == ndim[site] else x).to(like)
        for site, x in filled.items()
        if isinstance(x, torch.Tensor)
    }
