"""What stands in the place of a removed part: zero, its mean, or its value on another example.

A *site* is a TransformerLens hook at which parts are removed: ``blocks.l.attn.hook_z`` (heads),
``blocks.l.hook_attn_out`` and ``blocks.l.hook_mlp_out``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from spex_mech.core.errors import InputError
from spex_mech.tasks.prompts import Prompts

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

Fill = Callable[[str, torch.Tensor], torch.Tensor | float]
"""(site, activation of a batch) -> what removed entries become, broadcastable to the activation."""


class Filler(Protocol):
    """Knows the fills of one game; ``batch`` prepares those of a batch of examples."""

    def batch(self, examples: Sequence[int], width: int) -> Fill:
        """Fills for batches of these examples, once or repeated, right-padded to ``width`` tokens."""
        ...


@dataclass(frozen=True)
class Ablation:
    """A kind of ablation.

    Attributes:
        name: ``zero``, ``mean`` or ``resample``.
        rescale: multiply the kept heads of each layer by H / |kept|, the published head-pruning
            experiment (ProxySPEX, appendix C.2); with ``zero`` only.
        seed: seed of the donors of ``resample``.
    """

    name: str
    rescale: bool = False
    seed: int = 0
    _make: Callable[[TransformerBridge, Prompts, Sequence[str], int], Filler] = field(
        default=lambda *_: _Zero(), repr=False, compare=False
    )

    def filler(self, bridge: TransformerBridge, prompts: Prompts, sites: Sequence[str]) -> Filler:
        """Prepare the fills for one model, set of prompts and list of sites."""
        return self._make(bridge, prompts, sites, self.seed)


def zero(*, rescale: bool = False) -> Ablation:
    """Removed parts become zero."""
    return Ablation("zero", rescale)


def mean() -> Ablation:
    """Removed parts become their mean over all tokens of all prompts of the game."""
    return Ablation("mean", _make=lambda bridge, prompts, sites, _: _Mean(bridge, prompts, sites))


def resample(*, seed: int = 0) -> Ablation:
    """Removed parts take the value they have on another prompt of the game, its donor.

    Every prompt has one donor, drawn by ``seed``, never itself. Positions are matched by their
    distance from the last token; where the donor is shorter its first token serves.
    """
    return Ablation("resample", seed=seed, _make=_Resample)


def pad(
    prompts: Prompts, examples: Iterable[int], width: int, device: torch.device
) -> torch.Tensor:
    """Token ids (rows, width) padded on the right, which a causal model never looks at from the left."""
    rows = [prompts.tokens[e] + (0,) * (width - len(prompts.tokens[e])) for e in examples]
    return torch.tensor(rows, device=device)


class _Zero:
    def batch(self, examples: Sequence[int], width: int) -> Fill:
        return lambda site, activation: 0.0


class _Mean:
    def __init__(self, bridge: TransformerBridge, prompts: Prompts, sites: Sequence[str]) -> None:
        self._means: dict[str, torch.Tensor] = {}
        total = sum(len(t) for t in prompts.tokens)
        for e in range(len(prompts)):
            seen = _record(
                bridge, pad(prompts, [e], len(prompts.tokens[e]), _device(bridge)), sites
            )
            for site, activation in seen.items():
                part = activation[0].double().sum(dim=0) / total
                self._means[site] = self._means.get(site, 0) + part

    def batch(self, examples: Sequence[int], width: int) -> Fill:
        return lambda site, activation: self._means[site].to(activation)


class _Resample:
    def __init__(
        self, bridge: TransformerBridge, prompts: Prompts, sites: Sequence[str], seed: int
    ) -> None:
        if len(prompts) < 2:
            raise InputError(
                "resample ablation needs at least two examples, got one; use zero or mean"
            )
        self._bridge, self._prompts, self._sites = bridge, prompts, sites
        order = np.random.default_rng(seed).permutation(len(prompts))
        self._donor = np.empty(len(prompts), dtype=np.int64)
        self._donor[order] = np.roll(order, 1)

    def batch(self, examples: Sequence[int], width: int) -> Fill:
        tokens, device = self._prompts.tokens, _device(self._bridge)
        different, row_of = np.unique(np.asarray(examples), return_inverse=True)
        donors = [int(d) for d in self._donor[different]]
        ids = pad(self._prompts, donors, max(len(tokens[d]) for d in donors), device)
        seen = _record(self._bridge, ids, self._sites)
        length = np.array([len(tokens[e]) for e in different])[:, None]
        shift = np.array([len(tokens[d]) for d in donors])[:, None] - length
        last = (length + shift) - 1
        position = torch.from_numpy(np.clip(np.arange(width)[None, :] + shift, 0, last)).to(device)
        source = torch.from_numpy(row_of.reshape(-1)).to(device)
        aligned = {
            site: activation[torch.arange(len(donors), device=device)[:, None], position]
            for site, activation in seen.items()
        }

        def fill(site: str, activation: torch.Tensor) -> torch.Tensor:
            rows = aligned[site][source]
            return rows.repeat(len(activation) // len(rows), *[1] * (rows.ndim - 1))

        return fill


def _record(
    bridge: TransformerBridge, ids: torch.Tensor, sites: Sequence[str]
) -> dict[str, torch.Tensor]:
    seen: dict[str, torch.Tensor] = {}

    # Hook points report a canonical name, not the alias asked for: each site gets its own closure.
    def keeper(site: str):
        def hook_fn(activation: torch.Tensor, hook) -> None:
            seen[site] = activation.detach()

        return hook_fn

    with torch.inference_mode():
        bridge.run_with_hooks(ids, fwd_hooks=[(s, keeper(s)) for s in sites], return_type=None)
    return seen


def _device(bridge: TransformerBridge) -> torch.device:
    return next(bridge.original_model.parameters()).device
