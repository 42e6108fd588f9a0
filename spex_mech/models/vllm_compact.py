"""A compact checkpoint as a model of vLLM: Transformers' arithmetic on vLLM's linear maps and attention."""

from __future__ import annotations

from typing import Any

from vllm.model_executor.layers.attention import (  # pyright: ignore[reportMissingImports]
    Attention,
)
from vllm.model_executor.models.transformers import (  # pyright: ignore[reportMissingImports]
    TransformersForCausalLM,
)


class ServedCompact(TransformersForCausalLM):
    """vLLM's backend for models of Transformers, with the number of heads of each layer.

    Where the query heads of a layer are unevenly spread over its key/value heads, vLLM's cache holds a copy
    of the keys and values for every query head.
    """

    def _create_attention_instances(self, prefix: str = "") -> None:
        config = self.text_config
        width = getattr(config, "head_dim", None)
        width = width or config.hidden_size // config.num_attention_heads
        for name, fuser in self.attention_fusers.values():
            layer = int(name.split(".")[-2])
            groups = config.compact_layers[layer]["groups"]
            even = len({*groups}) == 1
            module = self.get_submodule(name)
            window: dict[str, Any] = {}
            if getattr(module, "sliding_window", None) is not None:
                window["per_layer_sliding_window"] = module.sliding_window
            module.attn = Attention(
                num_heads=sum(groups),
                head_size=width,
                scale=fuser.scale(module) or width**-0.5,
                num_kv_heads=len(groups) if even else sum(groups),
                cache_config=self.cache_config,
                quant_config=self.quant_config,
                logits_soft_cap=getattr(config, "attn_logit_softcapping", None),
                prefix=f"{prefix}.{name}.attn" if prefix else f"{name}.attn",
                **window,
            )
