"""Settings in a checkpoint's config that are refused before anything is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spex_mech.core.errors import InputError

_LAYERS = {"n_layer", "num_hidden_layers", "num_layers"}
_COUNTS = _LAYERS | {
    "d_model",
    "hidden_size",
    "n_embd",
    "n_head",
    "num_attention_heads",
    "num_heads",
    "num_key_value_heads",
    "vocab_size",
}


def check_settings(values: dict[str, Any], path: str | Path) -> None:
    """Refuse a config that no model can have, or that asks for code from elsewhere.

    Args:
        values: what stands in ``config.json``.
        path: what an error calls the checkpoint.

    Raises:
        InputError: a number of layers or heads, or a width, that is not a positive integer; an
            attention implementation that Transformers would fetch from a hub.
    """
    names = values.get("architectures")
    if names is not None and not (
        isinstance(names, list) and all(isinstance(name, str) for name in names)
    ):
        raise InputError(
            f"config.json of {str(path)!r} sets architectures to {names!r}, expected a list with the "
            "name of the model's class. Use the config.json that was saved with the weights"
        )
    for name, value in settings_of(values):
        _check_count(name, value, path, least=0 if "compact_layers" in values else 1)
        fetched = isinstance(value, str) and re.fullmatch(r"\w+", value) is None
        if "attn_implementation" in name and fetched:
            raise InputError(
                f"config.json of {str(path)!r} sets {name} to {value!r}, which asks for a package of "
                "kernels that Transformers would fetch and run; expected a plain name such as 'sdpa' "
                "or 'eager'. Change or remove the setting"
            )


def settings_of(values: dict[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting with its name, those of configs within configs too."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from settings_of(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", value


def _check_count(name: str, value: Any, path: str | Path, *, least: int) -> None:
    """A list says it layer by layer, None leaves it to Transformers."""
    kind = name.rpartition(".")[2]
    if kind not in _COUNTS or value is None or isinstance(value, list):
        return
    least = least if kind in _LAYERS else 1
    if type(value) is not int or value < least:
        raise InputError(
            f"config.json of {str(path)!r} sets {name} to {value!r}, expected an integer from {least} "
            "on. Use the config.json that was saved with the weights"
        )
