"""Settings in a checkpoint's config that are refused before anything is loaded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spex_mech.core.errors import InputError


def check_settings(values: dict[str, Any], path: str | Path) -> None:
    """Refuse a config that asks for code from elsewhere.

    Args:
        values: what stands in ``config.json``.
        path: what an error calls the checkpoint.

    Raises:
        InputError: an attention implementation that Transformers would fetch from a hub.
    """
    for name, value in _settings(values):
        fetched = isinstance(value, str) and re.fullmatch(r"\w+", value) is None
        if "attn_implementation" in name and fetched:
            raise InputError(
                f"config.json of {str(path)!r} sets {name} to {value!r}, which asks for a package of "
                "kernels that Transformers would fetch and run; expected a plain name such as 'sdpa' "
                "or 'eager'. Change or remove the setting"
            )


def _settings(values: dict[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting with its name, those of configs within configs too."""
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _settings(value, f"{within}{name}.")
        else:
            yield f"{within}{name}", value
