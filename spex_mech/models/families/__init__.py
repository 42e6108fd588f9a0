"""How each Hugging Face architecture is read into a `Decoder`; one file per family.

Nothing is copied and nothing is changed: projections are views of the model's own tensors, norms and
MLPs are its own modules. `read_decoder` takes only what it knows to the last detail and says what
prevents it from reading another model. A new family is a line in `traits.TRAITS`, if it differs from Llama
by what is listed there; else a file here with a function from the Hugging Face model to a `Decoder`, made
with `parts`, and a line in `_FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spex_mech.models.decoder import Decoder
from spex_mech.models.families import gpt2, gpt_neox, llama, phi
from spex_mech.models.families.parts import Unknown
from spex_mech.models.families.traits import TRAITS

__all__ = ["Unknown", "read_decoder"]

_FAMILIES: dict[str, Callable[[Any], Decoder]] = {
    **dict.fromkeys(TRAITS, llama.read),
    "GPT2LMHeadModel": gpt2.read,
    "GPTNeoXForCausalLM": gpt_neox.read,
    "PhiForCausalLM": phi.read,
}


def read_decoder(hf: Any) -> Decoder:
    """Read a Hugging Face causal language model.

    Raises:
        Unknown: an architecture or option that is not known; the message continues "because ...".
    """
    name = type(hf).__name__
    if name not in _FAMILIES or not type(hf).__module__.startswith("transformers.models."):
        raise Unknown(f"its architecture, {name}, is not among {', '.join(sorted(_FAMILIES))}")
    _check_plain(hf)
    return _FAMILIES[name](hf)


def _check_plain(hf: Any) -> None:
    for path, module in hf.named_modules():
        if module._forward_hooks or module._forward_pre_hooks:
            raise Unknown(f"its module {path!r} carries hooks")
        if not type(module).__module__.startswith(("transformers.", "torch.nn.modules.")):
            raise Unknown(f"its module {path!r} is a {type(module).__name__}")
        if module.training:
            raise Unknown(f"its module {path!r} is in training mode")
    kinds = {(p.device, p.dtype) for p in hf.parameters()}
    if len(kinds) > 1:
        listed = sorted(f"{device} {dtype}" for device, dtype in kinds)
        raise Unknown(f"its weights are spread over {', '.join(listed)}")
    if any(d.type == "meta" or not dtype.is_floating_point for d, dtype in kinds):
        raise Unknown("its weights are quantised or offloaded")
    if getattr(hf.config, "quantization_config", None) is not None:
        raise Unknown("its weights are quantised")
