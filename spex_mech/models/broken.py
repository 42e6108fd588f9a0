"""One error for whatever goes wrong inside Transformers while it reads a checkpoint."""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.models.folders import broken_file
from spex_mech.models.settings import settings_of

_CONFIG = ("config.json",)
_WEIGHTS = (*_CONFIG, "*.index.json", "*.safetensors", "generation_config.json")
_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    *_CONFIG,
)
# What is read, and the files of it, most likely first.
_FILES = {
    "config": _CONFIG,
    "weights": _WEIGHTS,
    "tokenizer": _TOKENIZER,
    "processor": ("preprocessor_config.json", "processor_config.json", *_TOKENIZER),
}
_RIGHT = "Use the config.json and the files that were saved together"
_AGAIN = "Save it again with save_pretrained(folder), or copy the whole folder again"


@contextmanager
def reading(
    part: str, path: str | Path, options: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """Turn an error of Transformers, torch, tokenizers or safetensors into one `InputError`.

    Args:
        part: ``config``, ``weights``, ``tokenizer`` or ``processor``.
        path: the folder or hub id.
        options: what the caller passed on to Transformers.

    Raises:
        InputError: names the folder, the file or setting at fault and the remedy; what Transformers said
            is its cause. An error of code that came with the checkpoint and was let run is left as it is.
    """
    try:
        yield
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        if _in_trusted_code(error):
            raise
        said = said_by(error)
        fault = _fault(part, path, error, options or {})
        quoted = "" if said in fault else f" (Transformers says: {said})"
        kind = MissingFileError if isinstance(error, FileNotFoundError) else InputError
        raise kind(f"{str(path)!r} cannot be loaded: {fault}{quoted}") from error


def _fault(part: str, path: str | Path, error: Exception, options: Mapping[str, Any]) -> str:
    """What is at fault, and the remedy."""
    local = Path(path).is_dir()
    if local and (fault := broken_file(Path(path), _FILES[part])):
        return f"{fault}. {_AGAIN}"
    said = str(error)
    if "trust_remote_code" in said:
        return (
            f"its {part} needs code that came with it, which runs only when asked for. If you have "
            "read and trust it, use load_model(..., trust_remote_code=True)"
        )
    refused = [name for name in options if name in said]
    if isinstance(error, TypeError) and refused:
        return f"Transformers does not take the option {refused[0]!r} here. Leave it out"
    if "quantiz" in said or isinstance(error, ImportError):
        return (
            "it needs a package that is not here, for the quantization_config of config.json or for "
            "its architecture. Install the package, or give a checkpoint that is not quantised"
        )
    if not local:
        return "check the hub id and the network, or give a local folder"
    if setting := _setting_in(said, Path(path)):
        return f"config.json sets {setting}, which does not work. {_RIGHT}"
    files = sorted({file.name for name in _FILES[part] for file in Path(path).glob(name)})
    return f"Transformers cannot use its {part} ({', '.join(files[:3])}). {_RIGHT}"


def _in_trusted_code(error: Exception) -> bool:
    """Whether it was raised by code that came with the checkpoint, which the caller let run."""
    names = (
        frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)
    )
    return any(name.startswith("transformers_modules.") for name in names)


def said_by(error: Exception) -> str:
    """What an error says, on one line; the next line too where the first ends with a colon."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    first = " ".join(lines[:2] if lines and lines[0].endswith(":") else lines[:1])
    return first[:300] if " " in first else f"{type(error).__name__} {first}".strip()


def _setting_in(said: str, folder: Path) -> str | None:
    """The setting of config.json whose value an error quotes."""
    try:
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    for name, value in settings_of(values):
        text = isinstance(value, str) and any(f"{q}{value}{q}" in said for q in "'`\"")
        if text or (type(value) is int and value < 0 and f"{value}" in said):
            return f"{name} to {value!r}"
    return None
