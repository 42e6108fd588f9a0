"""A checkpoint's folder: what must lie in it, and which of its files is broken."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError, safe_open

from spex_mech.core.errors import InputError, MissingFileError

_TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "tokenizer_config.json",
)
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def check_folder(path: str, *, needs_tokenizer: bool = False) -> None:
    """Refuse a folder that lacks a part of a checkpoint; hub ids are let through.

    Args:
        path: a local folder or a hub id.
        needs_tokenizer: expect a tokenizer beside the weights.

    Raises:
        MissingFileError: no such folder, no config, weights, shard or tokenizer, or pickled weights only.
        InputError: shards that are not safetensors, or an adapter.
    """
    folder = Path(path)
    if not exists(path):
        return
    if not (folder / "config.json").is_file():
        for file in sorted(folder.glob("*.gguf")):
            raise MissingFileError(
                f"{path!r} has no config.json, but it has a GGUF file; give that file: {str(file)!r}"
            )
        raise MissingFileError(
            f"{path!r} has no config.json; expected a model folder as save_pretrained writes it"
        )
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("*.safetensors.index.json")):
        pickled = sorted(file.name for ending in _PICKLED for file in folder.glob(ending))
        pickles = f", only {pickled[0]}: pickled .bin files are not read" if pickled else ""
        raise MissingFileError(
            f"{path!r} has no weights (*.safetensors){pickles}. "
            + (
                "Unpickling can run code: if you trust it, load it elsewhere with Transformers, and "
                "convert it to safetensors with model.save_pretrained(folder)"
                if pickled
                else "Save them with model.save_pretrained(folder)"
            )
        )
    _check_shards(folder, path)
    if needs_tokenizer and not any((folder / name).is_file() for name in _TOKENIZERS):
        raise MissingFileError(
            f"{path!r} has no tokenizer; save one there with tokenizer.save_pretrained(folder), or "
            "pass tokenizer= a folder or hub id (for token ids without text, load the model with "
            "AutoModelForCausalLM and pass the object)"
        )


def exists(path: str) -> bool:
    """Whether a local folder is there; False for what may be a hub id.

    Raises:
        MissingFileError: what can only be a folder is not there.
    """
    if Path(path).exists():
        return True
    if Path(path).is_absolute() or path.startswith(".") or path.count("/") > 1:
        raise MissingFileError(
            f"model folder {path!r} does not exist; give a local folder, a hub id such as "
            "'org/name', or 'embedded'"
        )
    return False


def broken_file(folder: Path, names: Sequence[str]) -> str | None:
    """What is wrong with a file of a folder that could not be loaded; None where all can be read.

    Args:
        folder: the folder.
        names: patterns of the files to look at, in this order; JSON or safetensors.
    """
    for file in [file for name in names for file in sorted(folder.glob(name))]:
        fault = _fault_of_weights(file) if file.suffix == ".safetensors" else _fault_of_json(file)
        if fault:
            return f"{file.name} {fault}"
    return None


def _fault_of_weights(file: Path) -> str | None:
    try:
        with safe_open(file, framework="pt") as weights:
            weights.keys()
    except (SafetensorError, OSError) as error:
        return f"is not a whole safetensors file of {file.stat().st_size} bytes ({error})"
    return None


def _fault_of_json(file: Path) -> str | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError, OSError) as error:
        return f"is not JSON ({error})"
    if not isinstance(content, dict):
        return f"holds {json.dumps(content)[:40]}, expected an object of settings"
    if file.name == "tokenizer.json":
        from tokenizers import Tokenizer

        try:
            Tokenizer.from_file(str(file))
        except Exception as error:
            return f"is not a tokenizer ({error})"
    return None


def _check_shards(folder: Path, path: str) -> None:
    """Refuse an index that names what is not there, or what would have to be unpickled."""
    for index in sorted(folder.glob("*.safetensors.index.json")):
        fault = _fault_of_json(index)
        shards = {} if fault else json.loads(index.read_text(encoding="utf-8")).get("weight_map")
        names = {*map(str, shards.values())} if isinstance(shards, dict) else {"nothing"}
        if fault is None and not all(name.endswith(".safetensors") for name in names):
            fault = "has no weight_map that names *.safetensors files only"
        if fault:
            raise InputError(
                f"{path!r} cannot be loaded: {index.name} {fault}. Save the model again with "
                "model.save_pretrained(folder), or copy the whole folder again"
            )
        lacking = sorted(name for name in names if not (folder / name).is_file())
        if lacking and not (folder / "model.safetensors").is_file():
            raise MissingFileError(
                f"{path!r} lacks {len(lacking)} of the {len(names)} shards that {index.name} names "
                f"({', '.join(lacking[:3])}); copy the whole folder again"
            )
