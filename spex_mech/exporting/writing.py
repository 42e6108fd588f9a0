"""A checkpoint is written beside its folder, read back, and renamed: whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

from jaxtyping import Float32
from numpy import ndarray
from safetensors import SafetensorError

from spex_mech.core.errors import InputError
from spex_mech.core.files import new_folder
from spex_mech.exporting.forms.form import Checkpoint
from spex_mech.models.progress import bars_on_terminals_only

_BESIDE = 1 << 20  # bytes for config, tokenizer and card: more than most take


def write_checkpoint(
    checkpoint: Checkpoint,
    target: Path,
    card: str,
    expected: Float32[ndarray, " v"],
    max_shard_size: str | int,
) -> None:
    """Write a checkpoint and its card, and read it back before it gets its name.

    Args:
        checkpoint: what to write.
        target: the folder, which is not there or empty.
        card: the model card.
        expected: the logits that it must have when it is read back, see `plain_logits`.
        max_shard_size: largest weights file.

    Raises:
        InputError: too little room, which is seen before anything is written; a disk that cannot be
            written; or a checkpoint that does not hold the masked model. Nothing is left behind.
    """
    check_room(target, checkpoint.n_bytes + _BESIDE)
    try:
        with new_folder(target) as whole:
            with bars_on_terminals_only():
                checkpoint.save(whole, max_shard_size)
                checkpoint.check(whole, expected)
            (whole / "README.md").write_text(card, encoding="utf-8")
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot write the checkpoint {target}: {reason}; nothing of it was left behind: make room, "
            "or choose another folder"
        ) from error


def check_room(target: Path, needed: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Args:
        target: what is to be written, there or not.
        needed: its bytes.

    Raises:
        InputError: fewer bytes are free.
    """
    there = next((path for path in (target, *target.absolute().parents) if path.is_dir()), Path())
    free = shutil.disk_usage(there).free
    if free < needed:
        raise InputError(
            f"the checkpoint {target} takes {needed / 1e9:.2f} GB and the disk of {there} has "
            f"{free / 1e9:.2f} GB free; make room, or choose another folder"
        )
