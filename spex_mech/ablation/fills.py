"""What replaces a removed part: zero, its mean, or its value on another example or on a corrupted one.

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

Record = Callable[[torch.Tensor, Sequence[str]], dict[str, torch.Tensor]]
"""(token ids (rows, tokens), sites) -> activation (rows, tokens, ...) of the full model at each site."""

Fill = Callable[[str, torch.Tensor], torch.Tensor | float]
"""(site, activation of a batch) -> what removed entries become: 0.0; a tensor of the activation's shape
without batch and position; or, of an `Ablation` that is ``of_example``, a tensor of the whole activation's
shape. The fast engine gives an activation that has only the batch's length."""


class Filler(Protocol):
    """Knows the fills of one game; ``batch`` prepares those of a batch of examples."""

    def batch(self, examples: Sequence[int], width: int) -> Fill:
        """Fills for batches of these examples, once or repeated, right-padded to ``width`` tokens."""
        ...


@dataclass(frozen=True)
class Ablation:
    """A kind of ablation.

    Attributes:
        name: ``zero``, ``mean``, ``resample``, ``counterfactual`` or ``optimal``.
        rescale: multiply the kept heads of each layer by H / |kept|, the published head-pruning
            experiment (ProxySPEX, appendix C.2); with ``zero`` only.
        seed: seed of the donors of ``resample``.
        of_example: whether a removed part's value depends on the example and the token, as with ``resample``.
        paired: whether it is read from the corrupted partners of the prompts, as with ``counterfactual``.
        fitted: whether it is a constant that must be fitted first, as with ``optimal``.
    """

    name: str
    rescale: bool = False
    seed: int = 0
    of_example: bool = field(default=False, compare=False)
    paired: bool = field(default=False, compare=False)
    fitted: bool = field(default=False, compare=False)
    _make: Callable[[Record, Prompts, Sequence[str], int], Filler] = field(
        default=lambda *_: _Zero(), repr=False, compare=False
    )

    def filler(self, record: Record, prompts: Prompts, sites: Sequence[str]) -> Filler:
        """Prepare the fills for one model's activations, set of prompts and list of sites."""
        return self._make(record, prompts, sites, self.seed)


def zero(*, rescale: bool = False) -> Ablation:
    """Removed parts become zero."""
    return Ablation("zero", rescale)


def mean() -> Ablation:
    """Removed parts become their mean over all tokens of all prompts of the game."""
    return Ablation("mean", _make=lambda record, prompts, sites, _: _Mean(record, prompts, sites))


def resample(*, seed: int = 0) -> Ablation:
    """Removed parts take the value they have on another prompt of the game, its donor.

    Every prompt has one donor, drawn by ``seed``, never itself. Positions are matched by their
    distance from the last token; where the donor is shorter its first token serves.
    """
    return Ablation("resample", seed=seed, of_example=True, _make=_resample)


def counterfactual() -> Ablation:
    """Removed parts take the value they have on the prompt's corrupted partner, position by position.

    Partners come with the task and have as many tokens as their prompts, see `tasks.partners`. With every
    head and MLP removed, nothing but the embeddings is left of the prompt itself.
    """
    return Ablation("counterfactual", of_example=True, paired=True, _make=_counterfactual)


def pad(
    prompts: Prompts, examples: Iterable[int], width: int, device: torch.device | None = None
) -> torch.Tensor:
    """Token ids (rows, width) padded on the right, which a causal model never looks at from the left."""
    return padded([prompts.tokens[e] for e in examples], width, device)


def padded(
    tokens: Sequence[tuple[int, ...]], width: int, device: torch.device | None = None
) -> torch.Tensor:
    """Sequences of token ids as one tensor (rows, width), padded on the right with 0."""
    return torch.tensor([row + (0,) * (width - len(row)) for row in tokens], device=device)


def bridge_recorder(bridge: TransformerBridge) -> Record:
    """Record activations through TransformerLens."""

    def record(ids: torch.Tensor, sites: Sequence[str]) -> dict[str, torch.Tensor]:
        activations: dict[str, torch.Tensor] = {}

        # Hook points report a canonical name, not the alias they were asked by: one closure per site.
        def keep(site: str) -> Callable[..., None]:
            def hook_fn(activation: torch.Tensor, hook: object) -> None:
                activations[site] = activation.detach()

            return hook_fn

        device = next(bridge.original_model.parameters()).device
        hooks: list[tuple[str | Callable, Callable]] = [(site, keep(site)) for site in sites]
        with torch.inference_mode():
            bridge.run_with_hooks(ids.to(device), fwd_hooks=hooks, return_type=None)
        return activations

    return record


def token_moments(
    record: Record, prompts: Prompts, sites: Sequence[str]
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Means over all tokens of all prompts of each site's activation, and of its square; float64."""
    means: dict[str, torch.Tensor] = {}
    squares: dict[str, torch.Tensor] = {}
    total = sum(len(t) for t in prompts.tokens)
    for e in range(len(prompts)):
        activations = record(pad(prompts, [e], len(prompts.tokens[e])), sites)
        for site, activation in activations.items():
            x = activation[0].double()
            means[site] = means.get(site, 0) + x.sum(dim=0) / total
            squares[site] = squares.get(site, 0) + x.square().sum(dim=0) / total
    return means, squares


class _Zero:
    def batch(self, examples: Sequence[int], width: int) -> Fill:
        return lambda site, activation: 0.0


class _Mean:
    def __init__(self, record: Record, prompts: Prompts, sites: Sequence[str]) -> None:
        self._means, _ = token_moments(record, prompts, sites)

    def batch(self, examples: Sequence[int], width: int) -> Fill:
        return lambda site, activation: self._means[site].to(activation)


def _resample(record: Record, prompts: Prompts, sites: Sequence[str], seed: int) -> Filler:
    if len(prompts) < 2:
        raise InputError("resample ablation needs at least two examples, got one; use zero or mean")
    order = np.random.default_rng(seed).permutation(len(prompts))
    donor = np.empty(len(prompts), dtype=np.int64)
    donor[order] = np.roll(order, 1)
    return _Donated(record, prompts.tokens, [prompts.tokens[d] for d in donor], sites)


def _counterfactual(record: Record, prompts: Prompts, sites: Sequence[str], seed: int) -> Filler:
    if prompts.partners is None:
        raise InputError(
            "counterfactual ablation needs prompts with corrupted partners, see with_partner_tokens"
        )
    return _Donated(record, prompts.tokens, prompts.partners, sites)


class _Donated:
    """Values on other tokens, one donor for each prompt; positions count from the last token."""

    def __init__(
        self,
        record: Record,
        tokens: Sequence[tuple[int, ...]],
        donors: Sequence[tuple[int, ...]],
        sites: Sequence[str],
    ) -> None:
        self._record, self._tokens, self._donors, self._sites = record, tokens, donors, sites

    def batch(self, examples: Sequence[int], width: int) -> Fill:
        different, row_of = np.unique(np.asarray(examples), return_inverse=True)
        donors = [self._donors[e] for e in different]
        activations = self._record(padded(donors, max(map(len, donors))), self._sites)
        length = np.array([len(self._tokens[e]) for e in different])[:, None]
        last = np.array([len(d) for d in donors])[:, None] - 1
        shift = last + 1 - length
        position = torch.from_numpy(np.clip(np.arange(width)[None, :] + shift, 0, last))
        donor = torch.arange(len(donors))[:, None]
        source = torch.from_numpy(row_of.reshape(-1))
        aligned = {site: x[donor, position] for site, x in activations.items()}

        def fill(site: str, activation: torch.Tensor) -> torch.Tensor:
            rows = aligned[site][source]
            return rows.repeat(len(activation) // len(rows), *[1] * (rows.ndim - 1))

        return fill
