"""Loading a compact checkpoint with this package's own class; no code of the folder runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig

from spex_mech.core.errors import InputError

_MARK = "compact_"


def compact_class(
    path: str | Path, *, trust_remote_code: bool = False, **hub_options: Any
) -> Any | None:
    """This package's class for a checkpoint; None where the checkpoint is not a compact one.

    Only ``config.json`` is read. A kind that this version knows is never loaded with the folder's file.

    Args:
        path: a local folder or a hub id.
        trust_remote_code: leave a kind that this version does not know to the folder's file: None.
        hub_options: passed on to Transformers, such as ``revision``.

    Raises:
        InputError: a compact checkpoint of an architecture that this version does not know.
    """
    config, _ = PreTrainedConfig.get_config_dict(str(path), **hub_options)
    kind = str(config.get("model_type", ""))
    if not kind.startswith(_MARK) or "compact_layers" not in config:
        return None
    from spex_mech.models.modeling_compact import FAMILIES

    classes = {cls.config_class.model_type: cls for cls in FAMILIES.values()}
    if kind not in classes and trust_remote_code:
        return None
    if kind not in classes:
        raise InputError(
            f"{str(path)!r} is a compact checkpoint of kind {kind!r}; this version of spex_mech "
            f"loads {', '.join(sorted(classes))}. Update spex_mech, or run the checkpoint's own "
            "modelling file with trust_remote_code=True if you trust it"
        )
    return classes[kind]


def own_class(config: Any) -> Any | None:
    """This package's class for a config of a compact checkpoint; None for any other config."""
    if not hasattr(config, "compact_layers"):
        return None
    from spex_mech.models.modeling_compact import FAMILIES

    return next((cls for cls in FAMILIES.values() if cls.config_class is type(config)), None)
