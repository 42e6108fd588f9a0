"""The form ``gguf``: one file for llama.cpp, of its architecture ``deci``.

Deci is Llama with numbers of query heads, key/value heads and MLP units for each layer. What llama.cpp does
with zeros there decides what is written:

* A layer without query heads adds nothing but its MLP, as it should. The first layer is the exception: the
  width of a head is read only where it has some, so that it gets one of zeros.
* Where a layer has no MLP units, llama.cpp drops what its attention writes too. An MLP that was removed is
  therefore one of 32 units of zeros, which adds nothing; 32 is the block of llama.cpp's quantisations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float32
from numpy import ndarray
from transformers import LlamaForCausalLM, MistralForCausalLM

from spex_mech.core.errors import InputError
from spex_mech.core.layer_rules import LAYER_RULES
from spex_mech.exporting.cuts import LayerCut
from spex_mech.exporting.forms.gguf_tensors import deci_settings, deci_tensors, rope_factors
from spex_mech.exporting.forms.gguf_vocabulary import GgufVocabulary, vocabulary_of
from spex_mech.exporting.reading_back import check_logits, plain_logits
from spex_mech.models.gguf_deci import read_deci, vocabulary_settings
from spex_mech.models.model import Model

FILE = "model.gguf"
_LOADING = f"""```sh
llama-cli -m {FILE}       # or llama-server, or anything else that llama.cpp is in
llama-quantize {FILE} model-q8_0.gguf q8_0
```

spex-mech reads it back as a model of Transformers: ``sm.load_model("{FILE}")``."""
_FILE_TYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 32}


class GgufForm:
    """Pruned Llamas, Mistrals and what computes as they do, such as SmolLM2."""

    name = "gguf"
    rule = LAYER_RULES["gguf"]

    def obstacle(self, model: Model, kept: Sequence[LayerCut]) -> str | None:
        """Another architecture, settings that Deci does not have, or a tokenizer that llama.cpp does not."""
        if find_spec("gguf") is None:
            return "the package gguf is not installed; pip install 'spex-mech[gguf]'"
        fault = _architecture_fault(model.hf)
        if fault or not kept:
            return fault or "no layer is left; keep a layer"
        try:
            vocabulary_of(model)
        except InputError as error:
            return f"{error}"
        return None

    def checkpoint(self, small: Any, model: Model) -> GgufCheckpoint:
        """The cut model and the tokenizer as one file."""
        return GgufCheckpoint(small, vocabulary_of(model), Path(model.name).name)


@dataclass(frozen=True, eq=False)
class GgufCheckpoint:
    """A folder with one GGUF file.

    Attributes:
        hf: the cut model.
        vocabulary: its tokenizer.
        title: what llama.cpp calls the model.
    """

    hf: Any
    vocabulary: GgufVocabulary
    title: str
    loading: str = _LOADING
    library: str = "gguf"

    @property
    def n_bytes(self) -> int:
        """Bytes of the tensors and of the vocabulary."""
        tensors = self._tensors.values()
        return sum(x.numel() * x.element_size() for x in tensors) + self.vocabulary.n_bytes

    @cached_property
    def _tensors(self) -> dict[str, torch.Tensor]:
        return deci_tensors(self.hf)

    def save(self, folder: Path, max_shard_size: str | int) -> None:
        """Write the file; it is never split."""
        from gguf import GGMLQuantizationType, GGUFWriter

        writer = GGUFWriter(folder / FILE, "deci")
        writer.add_name(f"{self.title}, pruned")
        writer.add_file_type(_FILE_TYPES[self.hf.lm_head.weight.dtype])
        for key, value in {**deci_settings(self.hf), **self.vocabulary.settings()}.items():
            _add(writer, key, value)
        for name, tensor in self._tensors.items():
            if tensor.dtype == torch.bfloat16:
                raw = tensor.view(torch.uint8).numpy()
                writer.add_tensor(name, raw, raw_dtype=GGMLQuantizationType.BF16)
            else:
                writer.add_tensor(name, tensor.numpy())
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()

    def check(self, folder: Path, expected: Float32[ndarray, " v"]) -> None:
        """Read the file into a model that is made from its settings alone, and compare logits and tokens."""
        dtype = self.hf.lm_head.weight.dtype
        again = read_deci(folder / FILE, dtype=dtype, attn_implementation="eager")
        if vocabulary_settings(folder / FILE) != self.vocabulary.settings():
            raise InputError("the GGUF file would not hold the tokenizer: read back, it differs")
        check_logits(self.hf, plain_logits(again), expected, dtype)


def _architecture_fault(hf: Any) -> str | None:
    """Why Deci does not compute what a model computes."""
    config = hf.config
    if type(hf) not in (LlamaForCausalLM, MistralForCausalLM):
        return (
            f"a {type(hf).__name__} does not compute what llama.cpp's deci computes, only Llama and "
            "Mistral do"
        )
    if any(getattr(config, name, False) for name in ("attention_bias", "mlp_bias")):
        return "it has biases, and deci is written without"
    if config.hidden_act != "silu":
        return f"its MLPs have the activation {config.hidden_act!r}, and deci's have silu"
    window = getattr(config, "sliding_window", None)
    if window is not None and window < config.max_position_embeddings:
        return f"its attention sees {window} tokens only (sliding_window), and deci's sees all"
    if hf.lm_head.weight.dtype not in _FILE_TYPES:
        return f"its weights are {hf.lm_head.weight.dtype}, expected float32, float16 or bfloat16"
    return rope_factors(hf)[1]


def _add(writer: Any, key: str, value: Any) -> None:
    """Add a setting by its type."""
    if isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    elif isinstance(value, str):
        writer.add_string(key, value)
    else:
        writer.add_array(key, [*value])
