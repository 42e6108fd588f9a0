"""The form ``own``: a class of this package, whose modelling file goes with the checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spex_mech.exporting.cuts import LayerCut
from spex_mech.exporting.forms.form import STOCK_LOADING, HfCheckpoint
from spex_mech.models.model import Model

_LOADING = """```python
import spex_mech as sm
model = sm.load_model("folder")  # runs no code of the folder

# or, with the same class:
from transformers import AutoModelForCausalLM
sm.register_compact()
model = AutoModelForCausalLM.from_pretrained("folder")

# or, without spex-mech, with modeling_compact.py of this folder, which you should read first:
model = AutoModelForCausalLM.from_pretrained("folder", trust_remote_code=True)
```

vLLM serves it where spex-mech is installed beside it."""


class OwnForm:
    """Any mask. It is a stock checkpoint where all layers keep equally much."""

    name = "own"
    rule = None

    def obstacle(self, model: Model, kept: Sequence[LayerCut]) -> str | None:
        """Nothing stands in its way."""
        return None

    def checkpoint(self, small: Any, model: Model) -> HfCheckpoint:
        """The cut model as it is."""
        stock = not hasattr(small.config, "compact_layers")
        return HfCheckpoint(small, model.tokenizer, loading=STOCK_LOADING if stock else _LOADING)
