"""Whether a checkpoint's weights are those of its model: none missing, left over, or of another size."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from spex_mech.core.errors import InputError

_SHOWN = 3
# What earlier versions of Transformers saved, and nothing is computed from: constants, versions, and a base
# model's pooler beside a head that does not use it.
_LEFT_BEHIND = {"inv_freq", "masked_bias", "pooler", "position_ids", "version"}


def check_loaded(hf: Any, info: dict[str, Any], path: str, spare: Sequence[str] = ()) -> None:
    """Refuse a model of which a part is random, or a checkpoint of which a part was not used.

    Args:
        hf: the model.
        info: what ``from_pretrained(..., output_loading_info=True)`` told. Weights that are tied, and
            those that Transformers leaves out on purpose, are not in it.
        path: what an error calls the checkpoint.
        spare: modules of which no output is used; one that is missing becomes None.

    Raises:
        InputError: weights that are missing, left over, or of another size, by name.
    """
    name = type(hf).__name__
    missing = set(info["missing_keys"])
    for module in spare:
        of_module = {key for key in missing if key.startswith(f"{module}.")}
        if of_module:
            setattr(hf, module, None)
            missing -= of_module
    unused = _without_left_behind(hf, info["unexpected_keys"])
    sizes = {key: (tuple(a), tuple(b)) for key, a, b in info["mismatched_keys"]}
    faults = []
    if missing:
        faults.append(f"lacks {_named(missing)} of {name}, which would be random numbers")
    if unused:
        faults.append(f"holds {_named(unused)} for which {name} has no place")
    if sizes:
        key = min(sizes)
        faults.append(
            f"holds {_named(sizes)} of other sizes than config.json says: {key} is {sizes[key][0]}, "
            f"expected {sizes[key][1]}"
        )
    if faults:
        raise InputError(
            f"{path!r} {'; it '.join(faults)}. Weights and config.json belong to different models, or "
            f"the weights were not saved whole: save the whole {name}, its head too, with "
            "model.save_pretrained(folder), or give the folder or hub id of one that was"
        )


@contextmanager
def without_report() -> Iterator[None]:
    """Keep Transformers from printing its table of missing weights: `check_loaded` judges them."""
    logger = logging.getLogger("transformers.modeling_utils")
    logger.addFilter(_not_a_report)
    try:
        yield
    finally:
        logger.removeFilter(_not_a_report)


def _not_a_report(record: logging.LogRecord) -> bool:
    return "LOAD REPORT" not in record.getMessage()


def _without_left_behind(hf: Any, keys: Collection[str]) -> set[str]:
    """Keys that stand for something the model does not have."""
    buffers = {f".{name}" for name, _ in hf.named_buffers()}
    return {
        key
        for key in keys
        if not _LEFT_BEHIND & {*key.split(".")}
        and not any(f".{key}".endswith(name) or name.endswith(f".{key}") for name in buffers)
    }


def _named(keys: Collection[str]) -> str:
    shown = sorted(keys)[:_SHOWN]
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return f"{len(keys)} weight{'s' if len(keys) > 1 else ''} ({', '.join(shown)}{more})"
