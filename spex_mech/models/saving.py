"""Saving a model as a plain Hugging Face folder."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError

from spex_mech.core.errors import InputError, OutputExistsError
from spex_mech.core.files import new_folder
from spex_mech.models.loading import bars_on_terminals_only
from spex_mech.models.model import Model


def save_model(model: Model, folder: str | Path) -> Path:
    """Save a model as a plain Hugging Face folder: config, safetensors and tokenizer.

    A GGUF file that is loaded often is best saved once: a folder is read faster, and by every tool.

    Args:
        model: the model.
        folder: where to write, a folder that is not there or is empty. It is written whole or not at all.

    Returns:
        The folder.

    Raises:
        OutputExistsError: the folder holds something; nothing there was touched.
        InputError: it cannot be written, as on a full disk.
    """
    target = Path(folder)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise OutputExistsError(f"{target} is there and not empty; choose a new folder")
    try:
        with new_folder(target) as whole, bars_on_terminals_only():
            model.hf.save_pretrained(whole)
            if model.tokenizer is not None:
                model.tokenizer.save_pretrained(whole)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"the model cannot be written to {target}: {error}; check permissions and free disk space"
        ) from error
    return target
