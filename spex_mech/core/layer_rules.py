"""How unequal the layers of a checkpoint may be: what a stock architecture's config can say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spex_mech.core.errors import InputError


@dataclass(frozen=True)
class LayerSize:
    """What is left of one layer.

    Attributes:
        layer: the layer's number, for messages.
        groups: query heads left in each key/value group that is left; empty without attention.
        mlp: whether the MLP is left.
    """

    layer: int
    groups: tuple[int, ...]
    mlp: bool


@dataclass(frozen=True)
class LayerRule:
    """What all layers of an architecture have in common.

    Within a layer every key/value group has equally many query heads. A layer of which nothing is left is
    no layer, and breaks no rule.

    Attributes:
        same_groups: every layer has equally many key/value groups, one at least.
        same_heads: every group of every layer has equally many query heads.
        whole: every layer has its attention and its MLP.
    """

    same_groups: bool
    same_heads: bool
    whole: bool

    def fault(self, layers: Sequence[LayerSize]) -> str | None:
        """The first layer that breaks the rule and how, such as ``"layer 3 ..."``; None if none does."""
        first = layers[0] if layers else None
        for size in layers:
            fault = self._of_one(size) or self._beside(size, first)
            if fault:
                return f"layer {size.layer} {fault}"
        return None

    def _of_one(self, size: LayerSize) -> str | None:
        if self.whole and not size.groups:
            return "keeps no query head, and every layer needs some"
        if self.whole and not size.mlp:
            return "has lost its MLP, and every layer needs one"
        if len({*size.groups}) > 1:
            counts = ", ".join(map(str, size.groups))
            return (
                f"keeps {counts} query heads in its key/value groups, and each needs equally many"
            )
        return None

    def _beside(self, size: LayerSize, first: LayerSize | None) -> str | None:
        if first is None or not size.groups:
            return None
        if self.same_groups and len(size.groups) != len(first.groups):
            return (
                f"keeps {_counted(len(size.groups), 'key/value head')} and layer {first.layer} "
                f"{len(first.groups)}, and all layers need equally many"
            )
        if self.same_heads and size.groups != first.groups:
            return (
                f"keeps {_counted(sum(size.groups), 'query head')} and layer {first.layer} "
                f"{sum(first.groups)}, and all layers need equally many"
            )
        return None


LAYER_RULES = {
    "family": LayerRule(same_groups=True, same_heads=True, whole=True),
    "laguna": LayerRule(same_groups=True, same_heads=False, whole=True),
    "gguf": LayerRule(same_groups=False, same_heads=False, whole=False),
}
"""The rule of every stock form of a compact export; see `spex_mech.exporting.forms`."""
EXPORT_FORMS = ("auto", *LAYER_RULES, "own")
"""Every name of a form; ``auto`` is the first that fits, and ``own`` has no rule."""


def layer_rule(form: str) -> LayerRule:
    """The rule of a form.

    Raises:
        InputError: a form without a rule.
    """
    if form not in LAYER_RULES:
        known = ", ".join(repr(name) for name in LAYER_RULES)
        raise InputError(f"no form {form!r} limits which sets can be kept; expected {known}")
    return LAYER_RULES[form]


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")
