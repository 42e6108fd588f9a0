"""GGUF files of llama.cpp's architecture ``deci``, which the form ``gguf`` of an export writes, as models.

Transformers does not read them. Deci is Llama with numbers of query heads, key/value heads and MLP units for
each layer, so that a file is a plain Llama where all layers are alike, and else this package's compact one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from spex_mech.core.errors import InputError
from spex_mech.models.modeling_compact import FAMILIES

ARCHITECTURE = "deci"
ROPE_PARAMETERS = "spex_mech.rope_parameters"
"""A setting of our own: Transformers' parameters of rotary angles that are scaled, as JSON."""
_VOCABULARY = "tokenizer."
_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_OUTER = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
_FACTORS = "rope_freqs.weight"


def read_deci(
    path: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    attn_implementation: str | None = None,
) -> Any:
    """The model in a file, in evaluation mode, made of the file's settings and tensors alone.

    Args:
        path: a GGUF file of architecture ``deci`` that was checked (`check_gguf`).
        dtype: dtype of the weights.
        attn_implementation: as for Transformers; None for its default.

    Returns:
        A ``LlamaForCausalLM`` where all layers have an MLP and equally many heads, else a compact one. An
        MLP, or the first layer's attention, that writes nothing but zeros is left out: llama.cpp cannot do
        without.

    Raises:
        InputError: settings or tensors that are missing or left over, or layers that neither class has.
    """
    with _reading(path):
        settings, tensors = _contents(path)
        plans = _plans(settings, tensors)
        config = _config(settings, tensors, plans)
        if attn_implementation is not None:
            config._attn_implementation = attn_implementation
        model = _class_of(config)(config)
        state = _state(tensors, plans, _deci(settings)["attention.key_length"])
        if config.tie_word_embeddings:
            state["lm_head.weight"] = state["model.embed_tokens.weight"]
        model.load_state_dict(state)
        _check_angles(model, settings, tensors)
    for parameter in model.parameters():  # and no buffer: rotary frequencies stay as they are
        parameter.data = parameter.data.to(dtype)
    model.generation_config = GenerationConfig.from_model_config(config)
    return model.eval()


def read_deci_config(path: str | Path) -> Any:
    """The config of the model in a file; see `read_deci`."""
    with _reading(path):
        settings, tensors = _contents(path)
        return _config(settings, tensors, _plans(settings, tensors))


def read_deci_tokenizer(path: str | Path) -> Any:
    """The tokenizer in a file, which splits texts as llama.cpp does.

    Args:
        path: a file with a tokenizer in it.
    """
    tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(
        str(Path(path).parent), gguf_file=Path(path).name
    )
    backend = tokenizer.backend_tokenizer
    kind = vocabulary_settings(path).get("tokenizer.ggml.pre")
    if kind == "smollm":  # Transformers splits it as GPT-2's
        digits = pre_tokenizers.Digits(individual_digits=True)
        words = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.pre_tokenizer = pre_tokenizers.Sequence([digits, words])
    if kind == "llama-bpe":
        backend.model.ignore_merges = True
    return tokenizer


def vocabulary_settings(path: str | Path) -> dict[str, Any]:
    """What a file says of its tokenizer, by llama.cpp's names."""
    return {k: v for k, v in _contents(path)[0].items() if k.startswith(_VOCABULARY)}


def _contents(path: str | Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings and tensors by name; a tensor's numbers are read when they are asked for."""
    from gguf import GGUFReader

    reader = GGUFReader(path)
    settings = {name: entry.contents() for name, entry in reader.fields.items()}
    return settings, {tensor.name: tensor for tensor in reader.tensors}


def _float32(tensor: Any) -> torch.Tensor:
    """A tensor of the file, its rows first."""
    from gguf import dequantize

    return torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())


def _plans(settings: dict[str, Any], tensors: dict[str, Any]) -> list[dict[str, Any]]:
    """What every layer has, as ``compact_layers`` says it.

    Raises:
        InputError: a layer with linear attention, or an MLP of a width of its own.
    """
    deci = _deci(settings)
    n = deci["block_count"]
    columns = ("attention.head_count", "attention.head_count_kv", "feed_forward_length")
    queries, keys, units = (_of_layers(deci[name], n) for name in columns)
    plans = []
    for i, (q, k, u) in enumerate(zip(queries, keys, units, strict=True)):
        if (q > 0) != (k > 0) or (k and q % k) or (q and not u):
            raise InputError(
                f"layer {i} has {q} query heads, {k} key/value heads and {u} MLP units; expected query "
                "heads in equal groups on the key/value heads, and an MLP where there is attention"
            )
        mlp = u == max(units)
        if not mlp and _writes(tensors, f"blk.{i}.ffn_down.weight"):
            raise InputError(
                f"layer {i} has an MLP of {u} units and others of {max(units)}; expected one width"
            )
        attention = q and (i or _writes(tensors, f"blk.{i}.attn_output.weight"))
        plans.append({"groups": [q // k] * k if attention else [], "bias": False, "mlp": mlp})
    return plans


def _config(
    settings: dict[str, Any], tensors: dict[str, Any], plans: list[dict[str, Any]]
) -> LlamaConfig:
    """A plain Llama's config where all layers are alike and it takes so many heads, else a compact one's."""
    deci, head = _deci(settings), plans[0]["groups"]
    even = bool(head) and all(plan["mlp"] and plan["groups"] == head for plan in plans)
    even = even and deci["embedding_length"] % sum(head) == 0  # a rule of Transformers' config
    ends = [settings.get(f"tokenizer.ggml.{name}_token_id") for name in ("eos", "eot", "eom")]
    options: dict[str, Any] = {
        "hidden_size": deci["embedding_length"],
        "intermediate_size": max(_of_layers(deci["feed_forward_length"], len(plans))),
        "num_hidden_layers": len(plans),
        "num_attention_heads": sum(head) if even else 1,  # else each layer has its own number
        "num_key_value_heads": len(head) if even else 1,
        "head_dim": deci["attention.key_length"],
        "rms_norm_eps": deci["attention.layer_norm_rms_epsilon"],
        "rope_parameters": _rope_parameters(settings),
        "max_position_embeddings": deci["context_length"],
        "vocab_size": deci["vocab_size"],
        "tie_word_embeddings": "output.weight" not in tensors,
        "bos_token_id": settings.get("tokenizer.ggml.bos_token_id"),
        "eos_token_id": [end for end in ends if end is not None] or None,
    }
    if even:
        return LlamaConfig(**options)
    return FAMILIES[LlamaForCausalLM].config_class(compact_layers=plans, **options)


def _rope_parameters(settings: dict[str, Any]) -> dict[str, Any]:
    """Transformers' parameters of the rotary angles; see `_check_angles`."""
    if ROPE_PARAMETERS in settings:
        return json.loads(settings[ROPE_PARAMETERS])
    return {"rope_type": "default", "rope_theta": _deci(settings)["rope.freq_base"]}


def _check_angles(model: Any, settings: dict[str, Any], tensors: dict[str, Any]) -> None:
    """Refuse a file whose rotary angles are not the model's.

    Raises:
        InputError: factors of the angles that the file says nothing else of.
    """
    deci, width = _deci(settings), model.config.head_dim
    steps = torch.arange(0, width, 2, dtype=torch.float32) / width
    expected = deci["rope.freq_base"] ** -steps
    if _FACTORS in tensors:
        expected = expected / _float32(tensors[_FACTORS])
    if not torch.allclose(model.model.rotary_emb.inv_freq, expected, rtol=1e-5, atol=0):
        raise InputError("its rotary angles are scaled in a way that it does not name")


def _class_of(config: LlamaConfig) -> Any:
    return LlamaForCausalLM if type(config) is LlamaConfig else FAMILIES[LlamaForCausalLM]


def _state(
    tensors: dict[str, Any], plans: list[dict[str, Any]], width: int
) -> dict[str, torch.Tensor]:
    """Tensors by Transformers' names, without those of zeros that stand where nothing is."""
    state = {}
    for name, tensor in tensors.items():
        if name == _FACTORS:
            continue
        if name in _OUTER:
            state[_OUTER[name]] = _float32(tensor)
            continue
        first, layer, part, kind = [*name.split("."), "", "", ""][:4]
        if first != "blk" or kind != "weight" or part not in _NAMES:
            raise InputError(f"it has {name}, which a Llama has not")
        plan = plans[int(layer)]
        if not (plan["mlp"] if part.startswith("ffn") else plan["groups"]):
            continue
        numbers = _float32(tensor)
        if part in (
            "attn_q",
            "attn_k",
        ):  # llama.cpp turns neighbouring rows, Transformers the halves
            numbers = numbers.unflatten(0, (-1, width // 2, 2)).transpose(1, 2).flatten(0, 2)
        state[f"model.layers.{layer}.{_NAMES[part]}.weight"] = numbers
    return state


def _deci(settings: dict[str, Any]) -> dict[str, Any]:
    prefix = f"{ARCHITECTURE}."
    return {k.removeprefix(prefix): v for k, v in settings.items() if k.startswith(prefix)}


def _of_layers(value: int | list[int], layers: int) -> list[int]:
    """A setting of every layer; one number is all layers'."""
    return [value] * layers if isinstance(value, int) else value


def _writes(tensors: dict[str, Any], name: str) -> bool:
    """Whether a projection writes anything but zeros."""
    return name in tensors and bool(_float32(tensors[name]).any())


@contextmanager
def _reading(path: str | Path) -> Iterator[None]:
    """Say of which file something is missing, left over or not known."""
    try:
        yield
    except (InputError, KeyError, ValueError, RuntimeError) as error:
        said = f"it lacks {error}" if isinstance(error, KeyError) else f"{error}"
        raise InputError(
            f"{str(path)!r} is a GGUF file of architecture deci that cannot be read: {said}. Those that "
            "sm.export writes with form='gguf' can"
        ) from error
