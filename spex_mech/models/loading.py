"""Load a decoder-only model from a folder, the hub or an object."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM

from spex_mech.core.errors import InputError
from spex_mech.models.checkpoints import hub_options, read_config, read_tokenizer, read_weights
from spex_mech.models.compact_loading import own_class
from spex_mech.models.downloads import DOWNLOADS, downloaded
from spex_mech.models.folders import check_folder
from spex_mech.models.gguf import check_gguf, is_gguf, read_gguf, read_gguf_tokenizer
from spex_mech.models.model import Model, check_causal
from spex_mech.models.progress import bars_on_terminals_only

EMBEDDED = "embedded"
NAMED = (EMBEDDED, *DOWNLOADS)
"""Models that have names of their own; a folder of such a name is written ``./name``."""


def load_model(
    source: str | Path | nn.Module = EMBEDDED,
    *,
    tokenizer: Any | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    trust_remote_code: bool = False,
    **hf_options: Any,
) -> Model:
    """Load a decoder-only model.

    A compact checkpoint that `export` wrote is loaded with this package's own class, never with the
    modelling file in its folder.

    Args:
        source: ``"embedded"`` for the model in the package, ``"smollm2"`` for the one that
            ``spex-mech get smollm2`` fetches, a local folder, a GGUF file, whose quantised weights become
            plain ones (extra ``gguf``), a hub id, or a Hugging Face model object (used as it is: not
            moved, cast or copied).
        tokenizer: a tokenizer, or a folder or hub id to load it from; by default the model's own.
            Models given as objects may do without.
        device: device to move to; by default the GPU if there is one, else the CPU.
        dtype: dtype of the weights; by default that of the checkpoint, and float32 for a GGUF file, which
            holds the dequantised weights exactly.
        trust_remote_code: let Hugging Face run code that came with the checkpoint.
        hf_options: passed on to ``AutoModelForCausalLM.from_pretrained`` (such as ``device_map``).

    Returns:
        The model, in evaluation mode. Weights are read from safetensors only; nothing is unpickled.

    Raises:
        MissingFileError: a folder or file that is not there, or has no config, weights or tokenizer.
        InputError: a model that is not a decoder-only language model, or a checkpoint that cannot be
            read or does not belong to its config.
    """
    if isinstance(source, nn.Module):
        if isinstance(tokenizer, (str, Path)):
            tokenizer = read_tokenizer(tokenizer, trust_remote_code=trust_remote_code)
        return Model(
            source.eval(), tokenizer, getattr(source.config, "_name_or_path", "") or "model object"
        )
    name = str(source)
    if "gguf_file" in hf_options:
        raise InputError(
            "gguf_file is not an option of load_model; give the GGUF file's own path, as in "
            "load_model('folder/model.gguf')"
        )
    path = path_of(name)
    if is_gguf(path):
        check_gguf(path, needs_tokenizer=tokenizer is None)
    else:
        check_folder(path, needs_tokenizer=tokenizer is None)
    with bars_on_terminals_only():
        if is_gguf(path):
            return _load_gguf(path, tokenizer, device, dtype, hf_options)
        return _load(path, name, tokenizer, device, dtype, trust_remote_code, hf_options)


def _load(
    path: str,
    name: str,
    tokenizer: Any | None,
    device: str | torch.device | None,
    dtype: torch.dtype | None,
    trust_remote_code: bool,
    hf_options: dict[str, Any],
) -> Model:
    where = hub_options(hf_options)
    config = read_config(path, trust_remote_code=trust_remote_code, **where)
    check_causal((config.architectures or [""])[0], config, name)
    compact = own_class(config)
    hf = read_weights(
        AutoModelForCausalLM if compact is None else compact,
        path,
        trust_remote_code=trust_remote_code,
        dtype=dtype or "auto",
        **hf_options,
    )
    _place(hf, device, hf_options)
    if tokenizer is None or isinstance(tokenizer, (str, Path)):
        options = where if tokenizer is None else {}
        if tokenizer is None and compact is not None:
            options = {**where, "config": config}
        tokenizer = read_tokenizer(
            tokenizer or path, trust_remote_code=trust_remote_code, **options
        )
    return Model(hf, tokenizer, name)


def _load_gguf(
    path: str,
    tokenizer: Any | None,
    device: str | torch.device | None,
    dtype: torch.dtype | None,
    hf_options: dict[str, Any],
) -> Model:
    hf = read_gguf(path, dtype=dtype, **hf_options)
    _place(hf, device, hf_options)
    if tokenizer is None:
        tokenizer = read_gguf_tokenizer(path)
    elif isinstance(tokenizer, (str, Path)):
        tokenizer = read_tokenizer(tokenizer)
    return Model(hf, tokenizer, path)


def _place(hf: Any, device: str | torch.device | None, hf_options: dict[str, Any]) -> None:
    """Move a model to its device, unless Transformers has spread it over several."""
    if "device_map" not in hf_options:
        target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        nn.Module.to(hf, target)


def path_of(name: str) -> str:
    """The folder of a model that is called by a name; other names are paths or hub ids themselves.

    Raises:
        MissingFileError: a model that ``spex-mech get`` has not fetched.
    """
    if name == EMBEDDED:
        return str(Path(str(resources.files("spex_mech").joinpath(EMBEDDED))))
    return str(downloaded(name)) if name in DOWNLOADS else name
