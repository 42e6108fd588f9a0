"""What a form of compact checkpoint is, and the checkpoint in Hugging Face's format that most write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from jaxtyping import Float32
from numpy import ndarray

from spex_mech.core.layer_rules import LayerRule
from spex_mech.exporting.cuts import LayerCut, sizes_of
from spex_mech.exporting.reading_back import check_export
from spex_mech.models.model import Model

STOCK_LOADING = """```python
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained("folder")
```"""


class Checkpoint(Protocol):
    """A model as it is to be written."""

    @property
    def n_bytes(self) -> int:
        """Bytes of the weights, of which a checkpoint mostly consists."""
        ...

    @property
    def loading(self) -> str:
        """How it is loaded, in Markdown, for the model card."""
        ...

    @property
    def library(self) -> str:
        """What reads it, as the Hugging Face hub calls it."""
        ...

    @property
    def hf(self) -> Any:
        """The Hugging Face model that it holds."""
        ...

    def save(self, folder: Path, max_shard_size: str | int) -> None:
        """Write everything but the model card into a folder."""
        ...

    def check(self, folder: Path, expected: Float32[ndarray, " v"]) -> None:
        """Read it back, and compare its logits after a fixed prompt with those expected.

        Raises:
            InputError: it cannot be read, or differs.
        """
        ...


class ExportForm(Protocol):
    """A form of compact checkpoint."""

    @property
    def name(self) -> str:
        """How the user calls it."""
        ...

    @property
    def rule(self) -> LayerRule | None:
        """What its layers have in common; None where they may differ in anything."""
        ...

    def obstacle(self, model: Model, kept: Sequence[LayerCut]) -> str | None:
        """Why no mask of this model, or not this one, fits for another reason than the rule; else None."""
        ...

    def checkpoint(self, small: Any, model: Model) -> Checkpoint:
        """The checkpoint of a model that was cut.

        Args:
            small: what `cut_model` made of cuts that keep the rule, or the same fine-tuned.
            model: the model that was cut, with its tokenizer.
        """
        ...


@dataclass(frozen=True, eq=False)
class HfCheckpoint:
    """A folder in Hugging Face's format.

    Attributes:
        hf: the model.
        tokenizer: its tokenizer; None for none.
        state: the weights to write; None for the model's own.
        loading: how it is loaded, in Markdown.
    """

    hf: Any
    tokenizer: Any | None
    state: dict[str, torch.Tensor] | None = None
    loading: str = STOCK_LOADING
    library: str = "transformers"

    @property
    def n_bytes(self) -> int:
        """Bytes of the weights; tied ones are written once."""
        state = self.hf.state_dict() if self.state is None else self.state
        tensors = {(tensor.data_ptr(), tensor.shape): tensor for tensor in state.values()}
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())

    def save(self, folder: Path, max_shard_size: str | int) -> None:
        """Write weights, config and tokenizer."""
        self.hf.save_pretrained(folder, state_dict=self.state, max_shard_size=max_shard_size)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(folder)

    def check(self, folder: Path, expected: Float32[ndarray, " v"]) -> None:
        """Read the folder with the model's class, and compare the logits."""
        check_export(folder, self.hf, expected)


def rule_fault(form: ExportForm, kept: Sequence[LayerCut]) -> str | None:
    """The first layer that a form cannot hold, and why."""
    return None if form.rule is None else form.rule.fault(sizes_of([*kept]))
