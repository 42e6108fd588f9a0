"""The places in TransformerLens's view of a model at which players are removed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from spex_mech.core.errors import InputError
from spex_mech.models.bridge import bridge_errors
from spex_mech.models.model import Model

_CHECKED: WeakKeyDictionary[Model, set[str]] = WeakKeyDictionary()
_IDS = [[0, 1]]


def over_heads(values: torch.Tensor, activation: torch.Tensor) -> torch.Tensor:
    """Values of heads, spread so that they multiply an activation of heads.

    Args:
        values: (rows, heads).
        activation: (rows, tokens, ...), the heads' outputs one after the other. TransformerLens cuts them
            into pieces of another width where values are wider than queries, as in latent attention.

    Returns:
        (rows, 1, heads, 1), or (rows, 1, ...) of the activation's shape.
    """
    if activation.shape[2] == values.shape[1]:
        return values[:, None, :, None]
    width = activation[0, 0].numel() // values.shape[1]
    return values.repeat_interleave(width, dim=1).view(len(values), 1, *activation.shape[2:])


def by_heads(projection: nn.Module, weight: torch.Tensor, n_heads: int) -> torch.Tensor:
    """A weight of an output projection's shape as a view (hidden, heads, width).

    Args:
        projection: the projection, an ``nn.Linear`` or GPT-2's ``Conv1D``.
        weight: its weight, or a tensor of that shape.
        n_heads: heads.
    """
    by_input = weight if isinstance(projection, nn.Linear) else weight.T
    return by_input.unflatten(1, (n_heads, -1))


def check_sites(model: Model, sites: Sequence[str]) -> None:
    """Run two tokens through the reference and see that it passes all sites, in the shapes expected.

    What a model has passed once is not tried again.

    Args:
        model: the model.
        sites: names of TransformerLens hooks, see `fills`.

    Raises:
        InputError: a model that TransformerLens does not support, or a site that it does not have or that
            is not what its name says.
    """
    checked = _CHECKED.setdefault(model, set())
    new = [site for site in sites if site not in checked]
    if not new:
        return
    places = model.bridge.hook_dict
    for site in new:
        if site not in places:
            raise _no_site(model, site)
    seen: dict[str, torch.Tensor] = {}
    _run(model, [(site, _keeper(seen, site)) for site in new])
    for site in new:
        heads = model.shape.n_heads if site.endswith("hook_z") else 1
        if site not in seen or seen[site][0, 0].numel() % heads:
            raise _no_site(model, site)
    _check_attention(model, [site for site in new if site.endswith("hook_attn_out")])
    checked.update(new)


def _check_attention(model: Model, sites: Sequence[str]) -> None:
    """Whether what attention writes is made of its heads alone: nothing where they write nothing.

    In BERT it has the residual stream in it. What stands beside attention would stay.
    """
    for site in sites:
        if "mamba" in model.bridge.blocks[int(site.split(".")[1])].submodules:
            raise InputError(
                f"whole layers of {model.name!r} ({type(model.hf).__name__}) cannot be removed: they have "
                "Mamba beside attention; select heads, kv or mlps"
            )
    seen: dict[str, torch.Tensor] = {}
    hooks = [(site, _keeper(seen, site)) for site in sites]
    nothing = [(site.replace("hook_attn_out", "attn.o.hook_out"), _zero) for site in sites]
    if sites:
        _run(model, [*nothing, *hooks])
    for site in sites:
        if seen[site].abs().max() > 0:
            raise InputError(
                f"whole layers of {model.name!r} ({type(model.hf).__name__}) cannot be removed: the output "
                "of its attention contains the residual stream; select heads, kv or mlps"
            )


def _run(model: Model, hooks: list[tuple[str | Callable, Callable]]) -> None:
    ids = torch.tensor(_IDS, device=model.device)
    with bridge_errors(model.hf, model.name), torch.inference_mode():
        model.bridge.run_with_hooks(ids, fwd_hooks=hooks, return_type=None)


def _keeper(seen: dict[str, torch.Tensor], site: str) -> Callable[..., None]:
    def hook_fn(activation: torch.Tensor, hook: Any) -> None:
        seen[site] = activation

    return hook_fn


def _zero(activation: torch.Tensor, hook: Any) -> torch.Tensor:
    return torch.zeros_like(activation)


def _no_site(model: Model, site: str) -> InputError:
    layer = site.split(".")[1]
    part = {"z": "attention heads", "attn_out": "whole layer", "mlp_out": "MLP"}[
        site.rpartition("hook_")[2]
    ]
    return InputError(
        f"the {part} of layer {layer} of {model.name!r} ({type(model.hf).__name__}) cannot be removed: "
        "TransformerLens, whose hooks define the ablation, has no place for it there; select other players"
    )
