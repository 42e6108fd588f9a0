"""Loading decoder-only models, and knowing them again: `Model` and its fingerprint."""

from __future__ import annotations

import copy
import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging as hf_logging

from spex_mech.core.errors import InputError, MissingFileError
from spex_mech.core.players import ModelShape
from spex_mech.models.compact_loading import compact_class

if TYPE_CHECKING:
    from transformer_lens.model_bridge import TransformerBridge

EMBEDDED = "embedded"


@dataclass(frozen=True, eq=False)
class Model:
    """A decoder-only language model ready to be ablated; its weights are never changed.

    Attributes:
        hf: the plain Hugging Face model, in evaluation mode, untouched by hooks.
        tokenizer: its tokenizer; None for models used with token ids only.
        name: where it came from.
    """

    hf: Any
    tokenizer: Any | None
    name: str

    def __post_init__(self) -> None:
        _check_causal(type(self.hf).__name__, self.hf.config, self.name)
        if not self.compact:
            _ = self.shape  # a model without one is refused now

    @property
    def compact(self) -> bool:
        """Whether it is a compact export, whose layers keep unequally much."""
        return hasattr(self.hf.config, "compact_layers")

    @property
    def shape(self) -> ModelShape:
        """Numbers of layers, heads and key/value heads.

        Raises:
            InputError: a compact export, which has no single number of heads.
        """
        return _shape_of(self.hf.config, self.name)

    @property
    def device(self) -> torch.device:
        """The device that holds the input embeddings."""
        return self.hf.get_input_embeddings().weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
        return self.hf.get_input_embeddings().weight.dtype

    @property
    def context(self) -> int | None:
        """The longest input in tokens; None where the architecture sets no limit."""
        return getattr(self.hf.config.get_text_config(), "max_position_embeddings", None)

    @cached_property
    def bridge(self) -> TransformerBridge:
        """The TransformerLens view of the model, sharing its weights.

        TransformerLens replaces submodules and forces eager attention in the module it wraps, so it
        is given a copy of the module tree that shares every tensor; ``hf`` stays as it was.
        """
        from transformer_lens.model_bridge.sources import build_bridge_from_module

        tensors = [*self.hf.parameters(), *self.hf.buffers()]
        shadow: nn.Module = copy.deepcopy(self.hf, {id(t): t for t in tensors})
        return build_bridge_from_module(
            shadow, type(self.hf).__name__, hf_config=shadow.config
        ).eval()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over architecture, names, dtypes and contents of all weights, as hexadecimal text."""
        digest = hashlib.sha256(type(self.hf).__name__.encode())
        for key, tensor in self.hf.state_dict().items():
            digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
        return digest.hexdigest()

    def __repr__(self) -> str:
        if self.compact:
            sizes = f"{len(self.hf.config.compact_layers)} layers of unequal size"
        else:
            s = self.shape
            sizes = f"{s.n_layers} layers x {s.n_heads} heads, {s.n_kv_heads} key/value heads"
        return (
            f"Model({self.name!r}, {type(self.hf).__name__}, {sizes}, {self.dtype}, {self.device})"
        )


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

    A compact checkpoint that `export` wrote is loaded with this package's own class; the modelling
    file in its folder runs only with ``trust_remote_code=True``.

    Args:
        source: ``"embedded"`` for the model in the package, a local folder, a hub id, or a Hugging
            Face model object (used as it is: not moved, cast or copied).
        tokenizer: a tokenizer, or a folder or hub id to load it from; by default the model's own.
            Models given as objects may do without.
        device: device to move to; by default the GPU if there is one, else the CPU.
        dtype: dtype of the weights; by default that of the checkpoint.
        trust_remote_code: let Hugging Face run code that came with the checkpoint.
        hf_options: passed on to ``AutoModelForCausalLM.from_pretrained`` (such as ``device_map``).

    Returns:
        The model, in evaluation mode. Weights are read from safetensors only; nothing is unpickled.

    Raises:
        MissingFileError: a folder that is not there, or has no config, weights or tokenizer.
        InputError: a model that is not a decoder-only language model.
    """
    if isinstance(source, nn.Module):
        if isinstance(tokenizer, (str, Path)):
            tokenizer = AutoTokenizer.from_pretrained(tokenizer)
        return Model(
            source.eval(), tokenizer, getattr(source.config, "_name_or_path", "") or "model object"
        )
    name = str(source)
    path = str(_embedded_folder()) if name == EMBEDDED else name
    _check_folder(path, needs_tokenizer=tokenizer is None)
    with bars_on_terminals_only():
        return _load(path, name, tokenizer, device, dtype, trust_remote_code, hf_options)


@contextmanager
def bars_on_terminals_only() -> Iterator[None]:
    """Keep Transformers' progress bars out of files and pipes."""
    shown = hf_logging.is_progress_bar_enabled() and not sys.stderr.isatty()
    if shown:
        hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            hf_logging.enable_progress_bar()


def _load(
    path: str,
    name: str,
    tokenizer: Any | None,
    device: str | torch.device | None,
    dtype: torch.dtype | None,
    trust_remote_code: bool,
    hf_options: dict[str, Any],
) -> Model:
    own = None if trust_remote_code else compact_class(path)
    config_class, model_class = (
        (AutoConfig, AutoModelForCausalLM) if own is None else (own.config_class, own)
    )
    config = config_class.from_pretrained(path, trust_remote_code=trust_remote_code)
    _check_causal((config.architectures or [""])[0], config, name)
    hf = model_class.from_pretrained(
        path,
        dtype=dtype or "auto",
        use_safetensors=True,
        trust_remote_code=trust_remote_code,
        **hf_options,
    ).eval()
    if "device_map" not in hf_options:
        target = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        nn.Module.to(hf, target)
    if tokenizer is None or isinstance(tokenizer, (str, Path)):
        # With its config at hand, Transformers does not ask whether to run a compact checkpoint's code.
        known = {} if own is None or tokenizer else {"config": config}
        tokenizer = AutoTokenizer.from_pretrained(
            tokenizer or path, trust_remote_code=trust_remote_code, **known
        )
    return Model(hf, tokenizer, name)


def _embedded_folder() -> Path:
    return Path(str(resources.files("spex_mech").joinpath(EMBEDDED)))


def _check_folder(path: str, *, needs_tokenizer: bool) -> None:
    folder = Path(path)
    if not folder.exists():
        if folder.is_absolute() or path.startswith(".") or path.count("/") > 1:
            raise MissingFileError(
                f"model folder {path!r} does not exist; give a local folder, a hub id such as "
                "'org/name', or 'embedded'"
            )
        return  # a hub id
    if not (folder / "config.json").is_file():
        raise MissingFileError(
            f"{path!r} has no config.json; expected a model folder as save_pretrained writes it"
        )
    if not any(folder.glob("*.safetensors")):
        raise MissingFileError(
            f"{path!r} has no weights (*.safetensors); save them with "
            "model.save_pretrained(folder), pickled .bin files are not read"
        )
    names = (
        "tokenizer.json",
        "tokenizer.model",
        "vocab.json",
        "vocab.txt",
        "tokenizer_config.json",
    )
    if needs_tokenizer and not any((folder / name).is_file() for name in names):
        raise MissingFileError(
            f"{path!r} has no tokenizer; save one there with tokenizer.save_pretrained(folder), or "
            "pass tokenizer= a folder or hub id (for token ids without text, load the model with "
            "AutoModelForCausalLM and pass the object)"
        )


def _check_causal(architecture: str, config: Any, name: str) -> None:
    text = config.get_text_config()
    known = architecture in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values() or "CausalLM" in architecture
    encoder = getattr(config, "is_encoder_decoder", False) or (
        hasattr(text, "is_decoder") and not text.is_decoder and _is_bidirectional(architecture)
    )
    if encoder or not known:
        raise InputError(
            f"{name!r} is a {architecture or 'model without a named architecture'}, expected a "
            "decoder-only language model such as LlamaForCausalLM or GPT2LMHeadModel"
        )


def _is_bidirectional(architecture: str) -> bool:
    """BERT-like language-model heads attend both ways unless their config says is_decoder."""
    family = (
        "Bert",
        "Roberta",
        "Electra",
        "Ernie",
        "Camembert",
        "XLMRoberta",
        "BigBird",
        "RoFormer",
    )
    return any(part in architecture for part in family)


def _shape_of(config: Any, name: str) -> ModelShape:
    text = config.get_text_config()
    if hasattr(config, "compact_layers"):
        raise InputError(
            f"{name!r} is a compact export: its layers keep unequally much, so it has no players of "
            "its own; select players from the model that it was made from"
        )
    n_heads = getattr(text, "num_attention_heads", None)
    n_layers = getattr(text, "num_hidden_layers", None)
    if not (isinstance(n_heads, int) and isinstance(n_layers, int)):
        raise InputError(
            f"{name!r} has no single number of layers and attention heads in its config "
            f"({type(config).__name__}); models whose layers differ are not supported"
        )
    n_kv = getattr(text, "num_key_value_heads", None) or n_heads
    return ModelShape(n_layers, n_heads, n_kv)
