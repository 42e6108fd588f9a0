"""The form ``family``: the model's own architecture, with smaller numbers in its config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spex_mech.core.layer_rules import LAYER_RULES
from spex_mech.exporting.compact import width_fault
from spex_mech.exporting.cuts import LayerCut, is_even
from spex_mech.exporting.forms.form import HfCheckpoint
from spex_mech.models.model import Model


class FamilyForm:
    """What reads the model itself reads it: every layer keeps equally much."""

    name = "family"
    rule = LAYER_RULES["family"]

    def obstacle(self, model: Model, kept: Sequence[LayerCut]) -> str | None:
        """An architecture whose width of a head follows from the number of heads."""
        if not kept:
            return "no layer is left; keep a layer"
        if not is_even([*kept]):
            return None  # which the rule tells
        return width_fault(model.hf, kept[0])

    def checkpoint(self, small: Any, model: Model) -> HfCheckpoint:
        """The stock model as it is."""
        return HfCheckpoint(small, model.tokenizer)
