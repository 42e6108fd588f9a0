"""The TransformerLens view of a model; what TransformerLens cannot do with a model is one `InputError`."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from spex_mech.core.errors import InputError

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge


def build_bridge(hf: Any, name: str) -> TransformerBridge:
    """A `TransformerBridge` around a copy of the module tree that shares every tensor of the state dict.

    Args:
        hf: the Hugging Face model; it is not changed.
        name: what an error calls it.

    Raises:
        InputError: an architecture, or a setting of one, that TransformerLens does not support.
    """
    from transformer_lens.model_bridge.sources import build_bridge_from_module

    _check_computed_alike(hf.config, name)
    # Buffers that are not saved, such as rotary angles, may change from one prompt to the next.
    tensors = [*hf.parameters(), *hf.state_dict(keep_vars=True).values()]
    shadow = copy.deepcopy(hf, {id(t): t for t in tensors})
    with bridge_errors(hf, name):
        return build_bridge_from_module(shadow, type(hf).__name__, hf_config=shadow.config).eval()


def _check_computed_alike(config: Any, name: str) -> None:
    """Refuse what TransformerLens takes but computes otherwise than Hugging Face's code.

    `spex_mech.ablation.proof.hold` sees that too, but half precisions can hide it in their rounding.
    """
    if config.model_type != "falcon" or not (config.alibi or config.new_decoder_architecture):
        return
    why = (
        "adds ALiBi's bias (alibi) to the attention scores twice"
        if config.alibi
        else "reads the rows of grouped queries, keys and values (new_decoder_architecture) in another order"
    )
    raise InputError(
        f"{name!r} is a Falcon model that cannot be ablated: TransformerLens, whose hooks define the "
        f"ablation, {why}. Use a Falcon model such as falcon-7b, without these settings"
    )


@contextmanager
def bridge_errors(hf: Any, name: str) -> Iterator[None]:
    """Turn what TransformerLens raises on a model that it does not support into an `InputError`."""
    try:
        yield
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if "DefaultCPUAllocator" in f"{error}":  # out of memory too, but a RuntimeError
            raise
        said = " ".join(f"{error}".split())[:200] or type(error).__name__
        if any(parameter.dtype == torch.float64 for parameter in hf.parameters()):
            raise InputError(
                f"{name!r} is a {type(hf).__name__} that cannot be ablated in float64 ({said}); load it with "
                "dtype=torch.float32"
            ) from error
        raise InputError(
            f"{name!r} is a {type(hf).__name__} that cannot be ablated: TransformerLens, whose hooks "
            f"define the ablation, does not support it ({said}). Use a model that it supports"
        ) from error
