"""vLLM learns to serve compact checkpoints where this package is installed beside it.

vLLM calls `register` when it starts, through the entry point ``vllm.general_plugins``; nothing else imports
this file.
"""

from __future__ import annotations


def register() -> None:
    """Name the class that serves compact checkpoints, and let Transformers read their configs."""
    from vllm import ModelRegistry  # pyright: ignore[reportMissingImports]

    from spex_mech.models.modeling_compact import FAMILIES
    from spex_mech.models.registering import register_compact

    register_compact()
    for compact in FAMILIES.values():
        served = "spex_mech.models.vllm_compact:ServedCompact"
        ModelRegistry.register_model(compact.__name__, served)
