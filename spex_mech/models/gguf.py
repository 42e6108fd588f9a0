"""GGUF files, llama.cpp's format, as plain Hugging Face models whose weights are dequantised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.core.quoting import quoted
from spex_mech.models.broken import said_by
from spex_mech.models.gguf_deci import (
    ARCHITECTURE,
    read_deci,
    read_deci_config,
    read_deci_tokenizer,
)
from spex_mech.models.gguf_header import GgufHeader, read_header
from spex_mech.models.loaded import check_loaded, without_report
from spex_mech.models.progress import errors_on_terminals_only
from spex_mech.models.settings import check_settings

_INSTALL = "pip install 'spex-mech[gguf]'"
_ELSEWHERE = "Give the original model as a folder of safetensors or a hub id"


def is_gguf(source: str | Path) -> bool:
    """Whether a source names a GGUF file; a folder with such a name is a folder."""
    return Path(source).suffix.lower() == ".gguf" and not Path(source).is_dir()


def check_package(path: str) -> dict[int, tuple[int, int]]:
    """Elements and bytes of a block of each type of quantised weights, as the package gguf knows them.

    Args:
        path: what an error calls the model.

    Raises:
        InputError: the package is not installed.
    """
    try:
        from gguf import GGML_QUANT_SIZES
    except ImportError as error:
        raise InputError(
            f"{path!r} is read with the package gguf, which is not installed. Install it: {_INSTALL}"
        ) from error
    return {int(kind): sizes for kind, sizes in GGML_QUANT_SIZES.items()}


def check_gguf(path: str, *, needs_tokenizer: bool = False) -> GgufHeader:
    """Check a GGUF file, and that it can be read, before any weight is.

    Args:
        path: the file.
        needs_tokenizer: expect a tokenizer in it.

    Raises:
        MissingFileError: no such file, or no tokenizer in it.
        InputError: the package gguf is not installed, or the file is damaged or no GGUF file.
    """
    block_sizes = check_package(path)
    if not Path(path).is_file():
        raise MissingFileError(
            f"model file {path!r} does not exist; give a GGUF file, a local folder, a hub id such as "
            "'org/name', or 'embedded'"
        )
    if (Path(path).parent / "adapter_config.json").exists():
        raise InputError(
            f"an adapter_config.json lies beside {path!r}, and Transformers would apply that adapter; "
            "move the GGUF file to a folder of its own"
        )
    header = read_header(Path(path), block_sizes)
    if needs_tokenizer and "tokenizer.ggml.tokens" not in header.settings:
        raise MissingFileError(
            f"{path!r} has no tokenizer in it; pass tokenizer= a folder or hub id to load it from"
        )
    return header


def read_gguf_config(path: str) -> Any:
    """The config of the model in a GGUF file.

    Raises:
        InputError: an architecture that Transformers does not read from GGUF files, or that is no
            decoder-only language model.
    """
    header = check_gguf(path)
    if header.architecture == ARCHITECTURE:
        return read_deci_config(path)
    with _reading("config", path, header):
        values, _ = PreTrainedConfig.get_config_dict(
            str(Path(path).parent), gguf_file=Path(path).name
        )
    check_settings(values, path)
    if values.get("model_type") not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise InputError(
            f"{path!r} holds a model of architecture {quoted(header.architecture)}, expected a "
            "decoder-only language model such as llama or gpt2"
        )
    with _reading("config", path, header):
        return AutoConfig.from_pretrained(
            str(Path(path).parent), gguf_file=Path(path).name, trust_remote_code=False
        )


def read_gguf(path: str, *, dtype: torch.dtype | None = None, **options: Any) -> Any:
    """The plain model in a GGUF file, in evaluation mode, all of whose weights were read.

    Args:
        path: the file.
        dtype: dtype of the weights; by default float32, which holds the dequantised values exactly:
            scale times level plus offset has more digits than float16 or bfloat16.
        options: passed on to ``from_pretrained``.

    Raises:
        InputError: an architecture that Transformers does not read from GGUF files, or that is no
            decoder-only language model; weights that are missing or left over.
    """
    header = check_gguf(path)
    if header.architecture == ARCHITECTURE:
        return _read_deci(path, dtype, options)
    read_gguf_config(path)
    where = {"gguf_file": Path(path).name}
    folder = str(Path(path).parent)
    model_class: Any = AutoModelForCausalLM
    with errors_on_terminals_only(), without_report(), _reading("weights", path, header):
        from transformers import GgufConfig  # not in every version

        hf, info = model_class.from_pretrained(
            folder,
            trust_remote_code=False,
            dtype=dtype or torch.float32,
            quantization_config=GgufConfig(dequantize=True),
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **{**options, **where},
        )
    check_loaded(hf, info, path)
    _check_sizes(hf, header.sizes, path)
    return hf.eval()


def read_gguf_tokenizer(path: str) -> Any:
    """The tokenizer in a GGUF file.

    Raises:
        MissingFileError: there is none in it.
        InputError: Transformers cannot read it.
    """
    header = check_gguf(path, needs_tokenizer=True)
    if header.architecture == ARCHITECTURE:
        return read_deci_tokenizer(path)
    with _reading("tokenizer", path, header):
        return AutoTokenizer.from_pretrained(
            str(Path(path).parent), gguf_file=Path(path).name, trust_remote_code=False
        )


def _read_deci(path: str, dtype: torch.dtype | None, options: dict[str, Any]) -> Any:
    """The model in a file of architecture deci, which this package reads itself."""
    other = options.keys() - {"attn_implementation"}
    if other:
        raise InputError(
            f"{path!r} is of architecture deci, which is read without {', '.join(sorted(other))}; leave it "
            "out, or move the model afterwards"
        )
    return read_deci(path, dtype=dtype or torch.float32, **options)


def _check_sizes(hf: Any, sizes: Mapping[str, int], path: str) -> None:
    """Refuse tensors that Transformers left out, which it does without a word."""
    in_file, in_model = sum(sizes.values()), sum(p.numel() for p in hf.parameters())
    if in_file == in_model:
        return
    extra = [name for name, size in sizes.items() if size == in_file - in_model]
    named = f", such as {quoted(extra[0])}" if extra else ""
    raise InputError(
        f"{path!r} holds {in_file:,} weights and its {type(hf).__name__} has {in_model:,}: Transformers "
        f"would leave some out{named}, and the model would compute something else. {_ELSEWHERE}"
    )


@contextmanager
def _reading(part: str, path: str, header: GgufHeader) -> Iterator[None]:
    """Turn whatever goes wrong inside Transformers or gguf into one `InputError`."""
    try:
        yield
    except (InputError, MemoryError, torch.OutOfMemoryError):
        raise
    except ImportError as error:
        raise InputError(
            f"{path!r} cannot be loaded: a package for GGUF files is missing or too old "
            f"({said_by(error)}). Install it: {_INSTALL}"
        ) from error
    except Exception as error:
        raise InputError(
            f"{path!r} cannot be loaded: Transformers cannot read its {part}, of architecture "
            f"{quoted(header.architecture)} (it says: {said_by(error)}). {_ELSEWHERE}"
        ) from error
