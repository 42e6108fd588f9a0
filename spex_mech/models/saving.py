"""Saving a model as a plain Hugging Face folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from spex_mech.core.errors import InputError, OutputExistsError
from spex_mech.core.files import new_folder
from spex_mech.models.model import Model
from spex_mech.models.progress import bars_on_terminals_only


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
    with can_be_written(target), new_folder(target) as whole:
        write_model(model.hf, model.tokenizer, whole)
    return target


def write_model(hf: Any, tokenizer: Any | None, folder: Path) -> None:
    """Write a Hugging Face model and its tokenizer into a folder."""
    with bars_on_terminals_only():
        hf.save_pretrained(folder)
    if tokenizer is not None:
        tokenizer.save_pretrained(folder)


@contextmanager
def can_be_written(target: Path) -> Iterator[None]:
    """Turn what goes wrong while a model's folder is written into one `InputError`.

    Args:
        target: what the error calls the folder.
    """
    try:
        yield
    except InputError:
        raise
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"the model cannot be written to {target}: {reason}; nothing of it was left behind: make "
            "room, or choose another folder"
        ) from error
