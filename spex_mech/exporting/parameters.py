"""How many parameters each player takes, as a limit for pruning: what a compact export leaves out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float64

from spex_mech.core.errors import InputError
from spex_mech.core.limits import Limit
from spex_mech.core.players import PlayerSet, units
from spex_mech.exporting.compact import (
    check_cuttable,
    has_output_bias,
    heads_are_normed_together,
)
from spex_mech.models.model import Model

# A part of a layer: the units (layer, head; head -1 is the MLP) of which any one keeps it.
_Part = tuple[tuple[int, int], ...]
_BIAS = -2  # in place of a head: what stays until the whole layer goes
_OF_HEADS = ("q_proj", "c_attn", "query_key_value")
_OUTPUT = ("o_proj", "c_proj", "dense")
_MLP_NORMS = {  # by whether the MLP has a norm behind it
    False: ("ln_2", "post_attention_layernorm"),
    True: ("pre_feedforward_layernorm", "post_feedforward_layernorm"),
}


def parameter_limit(model: Model, players: PlayerSet, most: int | float) -> Limit:
    """At most ``most`` parameters in the kept players.

    A head takes its slices of the query and the output projection, with their biases; a key/value head
    is shared by its query heads and goes with the last of them, and so do the norms around attention
    (and on queries and keys) with the last head of a layer; where one norm is over all heads together, so do
    the query and the key projection. An MLP takes its norms along. The bias of an
    output projection stays until its layer is removed whole, as the ablation defines it. This is what
    `export` with ``mode="compact"`` cuts away. Parts that no player owns, or that something outside of
    the players keeps alive, always stay and are not counted.

    Args:
        model: the model.
        players: its players.
        most: number of parameters; as a float between 0 and 1 a share of what all players take.

    Raises:
        InputError: a model whose parts are not known, a negative number, or a share outside 0 to 1.
    """
    weights, groups = _counts(model, players)
    everything = weights.sum() + sum(weight for _, weight in groups)
    share = isinstance(most, (float, np.floating))
    if not (0.0 < most < 1.0 if share else most >= 0):
        raise InputError(
            f"most is {most!r}, expected an integer number of parameters (all players take "
            f"{everything:.0f}), or a share of them, a float between 0 and 1"
        )
    if share:
        most = int(most * everything + 1e-9)
    return Limit(weights, float(most), "parameters", groups)


def _counts(
    model: Model, players: PlayerSet
) -> tuple[Float64[np.ndarray, " n"], tuple[tuple[tuple[int, ...], float], ...]]:
    """What each player takes for itself, and the groups of players that share something."""
    try:
        check_cuttable(model.hf)
    except InputError as error:
        raise InputError(
            f"the parameters of single players are not known ({error}); give a Limit with weights of "
            "your own"
        ) from None
    owner = {unit: i for i, p in enumerate(players) for unit in units(p, model.shape)}
    whole = {p.layer: i for i, p in enumerate(players) if p.kind == "layer"}
    weights, shared = np.zeros(players.n), Counter()
    for part, count in _parts(model):
        if part[0][1] == _BIAS:
            owners = {whole.get(part[0][0])}
        else:
            owners = {owner.get(unit) for unit in part}
        if None in owners:
            continue
        members = tuple(sorted(i for i in owners if i is not None))
        if len(members) == 1:
            weights[members[0]] += count
        else:
            shared[members] += count
    return weights, tuple((members, float(count)) for members, count in shared.items())


def _parts(model: Model) -> Iterator[tuple[_Part, int]]:
    """Every part of every layer with its number of parameters."""
    names = {name for name, _ in model.hf.named_parameters()}
    # Where the MLP has a norm behind it, the one "after attention" is part of attention.
    own_norm = any("post_feedforward_layernorm" in name for name in names)
    biased = has_output_bias(model.hf)
    together = ("q_proj", "k_proj") if heads_are_normed_together(model.hf) else ()
    for name, weight in model.hf.named_parameters():
        path = name.split(".")
        at = next((i for i, part in enumerate(path) if part.isdigit()), None)
        if at is not None:
            tail = ".".join(path[at + 1 :])
            yield from _of_tensor(tail, int(path[at]), weight, model, own_norm, biased, together)


def _of_tensor(
    tail: str,
    layer: int,
    weight: Any,
    model: Model,
    own_norm: bool,
    biased: bool,
    together: tuple[str, ...],
) -> Iterator[tuple[_Part, int]]:
    shape, size = model.shape, weight.numel()
    heads = tuple((layer, h) for h in range(shape.n_heads))
    kind = tail.removesuffix(".weight").removesuffix(".bias").split(".")[-1]
    if tail.startswith("mlp.") or kind in _MLP_NORMS[own_norm]:
        yield ((layer, -1),), size
    elif kind in together:
        yield heads, size
    elif kind in _OF_HEADS or (kind in _OUTPUT and weight.ndim == 2):
        yield from (((head,), size // shape.n_heads) for head in heads)
    elif kind == "qkv_proj":
        one = size // (shape.n_heads + 2 * shape.n_kv_heads)
        yield from (((head,), one) for head in heads)
        for group in range(shape.n_kv_heads):
            yield tuple((layer, h) for h in shape.heads_of(group)), 2 * one
    elif kind in ("k_proj", "v_proj"):
        for group in range(shape.n_kv_heads):
            yield tuple((layer, h) for h in shape.heads_of(group)), size // shape.n_kv_heads
    elif kind in _OUTPUT or (kind == "post_attention_layernorm" and biased):
        yield ((layer, _BIAS),), size
    else:  # norms before and after attention, and on queries and keys
        yield heads, size
