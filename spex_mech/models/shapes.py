"""How many layers, heads and key/value heads a model has, by its config."""

from __future__ import annotations

from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.core.players import ModelShape


def shape_of(config: Any, name: str) -> ModelShape:
    """Read a Hugging Face config.

    Args:
        config: the config.
        name: what an error calls the model.

    Raises:
        InputError: a compact export, or layers whose numbers of heads differ or are not in the config.
    """
    text = config.get_text_config()
    if hasattr(config, "compact_layers"):
        raise InputError(
            f"{name!r} is a compact export: its layers keep unequally much, so it has no players of "
            "its own; select players from the model that it was made from"
        )
    n_heads = getattr(text, "num_attention_heads", None)
    n_layers = getattr(text, "num_hidden_layers", None)
    if not (isinstance(n_heads, int) and isinstance(n_layers, int)) or _differ(text, n_heads):
        raise InputError(
            f"{name!r} has no single number of layers and attention heads in its config "
            f"({type(config).__name__}); models whose layers differ are not supported"
        )
    n_kv = _n_kv_heads(text, n_heads)
    if not isinstance(n_kv, int) or n_kv < 1 or n_heads % n_kv:
        raise InputError(
            f"{name!r} has {n_heads} attention heads in a layer and {n_kv} key/value heads, expected one "
            "number of key/value heads for all layers that divides the number of heads"
        )
    bare = _without_attention(text, n_layers)
    if len(bare) == n_layers:
        raise InputError(f"{name!r} ({type(config).__name__}) has no layer with attention heads")
    return ModelShape(n_layers, n_heads, n_kv, bare)


def context_of(config: Any) -> int | None:
    """The longest input in tokens; None where the architecture sets no limit, which some configs call −1."""
    limit = getattr(config.get_text_config(), "max_position_embeddings", None)
    return None if limit is None or limit < 1 else limit


def _differ(text: Any, n_heads: int) -> bool:
    """Whether single layers have numbers of heads of their own, as in some sizes of Gemma 4."""
    if not getattr(text, "is_heterogeneous", False):
        return False
    layers = list(text.per_layer_config)
    return len({(x.num_attention_heads, _n_kv_heads(x, n_heads)) for x in layers}) > 1


def _n_kv_heads(text: Any, n_heads: int) -> Any:
    """Falcon names its key/value heads in three settings, of which one counts."""
    if text.model_type == "falcon":
        if text.new_decoder_architecture:
            return text.num_kv_heads
        return 1 if text.multi_query else n_heads
    return getattr(text, "num_key_value_heads", None) or n_heads


def _without_attention(text: Any, n_layers: int) -> frozenset[int]:
    """Layers that the config calls something else than attention; linear attention has no such heads."""
    kinds = getattr(text, "layers_block_type", None) or getattr(text, "layer_types", None)
    if not isinstance(kinds, (list, tuple)) or not all(isinstance(kind, str) for kind in kinds):
        return frozenset()
    return frozenset(
        layer
        for layer, kind in enumerate(kinds[:n_layers])
        if ("attention" not in kind or "linear" in kind) and kind != "hybrid"
    )
