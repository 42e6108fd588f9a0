"""What a model's config says, for checks that must not wait for its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from spex_mech.core.players import ModelShape
from spex_mech.models.checkpoints import read_config
from spex_mech.models.folders import check_folder
from spex_mech.models.gguf import check_gguf, is_gguf, read_gguf_config
from spex_mech.models.loading import path_of
from spex_mech.models.model import check_causal
from spex_mech.models.shapes import shape_of

_FLOAT32 = 4  # bytes of a number of a GGUF file when it has been read


@dataclass(frozen=True)
class ModelOutline:
    """A model whose weights were not read.

    Attributes:
        name: where it comes from.
        shape: numbers of layers, heads and key/value heads.
    """

    name: str
    shape: ModelShape


def read_outline(source: str | Path) -> ModelOutline:
    """Read a model's config, and check that its weights and tokenizer are where they should be.

    Args:
        source: a name, folder, GGUF file or hub id, as for `load_model`.

    Raises:
        MissingFileError: as for `load_model`.
        InputError: as for `load_model`, where the config shows it.
    """
    name = str(source)
    path = path_of(name)
    if is_gguf(path):
        check_gguf(path, needs_tokenizer=True)
        return ModelOutline(name, shape_of(read_gguf_config(path), name))
    check_folder(path, needs_tokenizer=True)
    config = read_config(path)
    check_causal((config.architectures or [""])[0], config, name)
    return ModelOutline(name, shape_of(config, name))


def weight_bytes(source: str | Path) -> int | None:
    """Bytes that a local model's weights take as plain tensors; None where they are not on this machine.

    Args:
        source: a name, folder, GGUF file or hub id, as for `load_model`.

    Raises:
        MissingFileError: as for `load_model`.
    """
    path = path_of(str(source))
    if is_gguf(path):
        return _FLOAT32 * sum(check_gguf(path).sizes.values())
    files = [*Path(path).glob("*.safetensors")]
    return sum(file.stat().st_size for file in files) if files else None
