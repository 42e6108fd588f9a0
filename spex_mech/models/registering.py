"""Transformers learns the classes of compact checkpoints, and needs no code of their folders any more."""

from __future__ import annotations

from typing import Any


def register_compact() -> None:
    """Let Transformers' auto classes load compact checkpoints with this package's own classes.

    Afterwards ``AutoModelForCausalLM.from_pretrained(folder)`` needs no ``trust_remote_code`` in this process
    for what `export` wrote with ``form="own"``, and ``AutoModel`` gives the model without its output layer.
    Stock classes stay as they are. It can be called again.
    """
    from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

    from spex_mech.models.modeling_compact import FAMILIES

    for stock, compact in FAMILIES.items():
        config = compact.config_class
        AutoConfig.register(config.model_type, config, exist_ok=True)
        AutoModelForCausalLM.register(config, compact, exist_ok=True)
        AutoModel.register(config, _body(stock, compact), exist_ok=True)


def _body(stock: Any, compact: Any) -> Any:
    """The class of a compact model without its output layer."""
    from transformers import MODEL_MAPPING

    from spex_mech.models.modeling_compact import Compact

    body: Any = MODEL_MAPPING[stock.config_class]
    members = {
        "__module__": __name__,
        "__doc__": f"A `{body.__name__}`, cut down.",
        "config_class": compact.config_class,
    }
    return type(f"Compact{body.__name__}", (Compact, body), members)
