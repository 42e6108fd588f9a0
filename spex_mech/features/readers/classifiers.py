"""Reading texts with a Hugging Face sequence classifier, or with an encoder for its embedding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from spex_mech.features.readers.model import TextModel, read_packed
from spex_mech.features.tokens import TokenRow, padded


class ClassifierReader:
    """A ``...ForSequenceClassification``: outputs are its logits.

    Args:
        model: the model.
    """

    def __init__(self, model: TextModel) -> None:
        self._model = model
        self.key = {**model.key, "output": "class logits, v1"}

    @property
    def labels(self) -> dict[int, str]:
        """Names of the classes."""
        return {int(c): str(label) for c, label in self._model.hf.config.id2label.items()}

    def outputs(self, rows: Sequence[TokenRow]) -> Float64[np.ndarray, "u k"]:
        """Logits (u, classes) of rows of token ids (r,), or of ids with segment ids below, (2, r)."""
        # A causal classifier without a padding token cannot find the last token of padded rows.
        config = self._model.hf.config
        alone = getattr(config.get_text_config(), "pad_token_id", None) is None
        most = 1 if alone and not config.is_encoder_decoder else self._model.tokens
        return _in_batches(self._model, rows, most, lambda out, mask: out.logits)


class EmbeddingReader:
    """An encoder without a head: the output is the cosine of its mean last state with the whole text's.

    Args:
        model: the model.
    """

    def __init__(self, model: TextModel) -> None:
        self._model = model
        self.key = {**model.key, "output": "cosine of mean last hidden state, v1"}
        self._whole: Float64[np.ndarray, " d"] | None = None

    def compare_with(self, row: TokenRow) -> None:
        """Set the whole text."""
        self._whole = self._embed([row])[0]

    def outputs(self, rows: Sequence[TokenRow]) -> Float64[np.ndarray, "u 1"]:
        """Cosine (u, 1) of each row's embedding with the whole text's; rows as for a classifier."""
        states = self._embed(rows)
        whole = states[0] if self._whole is None else self._whole
        norms = np.linalg.norm(states, axis=1) * np.linalg.norm(whole)
        return (states @ whole / norms)[:, None]

    def _embed(self, rows: Sequence[TokenRow]) -> Float64[np.ndarray, "u d"]:
        def mean(out: Any, mask: torch.Tensor) -> torch.Tensor:
            states = out.last_hidden_state.float() * mask[:, :, None]
            return states.sum(1) / mask.sum(1, keepdim=True)

        return _in_batches(self._model, rows, self._model.tokens, mean)


def _in_batches(
    model: TextModel,
    rows: Sequence[TokenRow],
    most: int,
    read: Callable[[Any, torch.Tensor], torch.Tensor],
) -> Float64[np.ndarray, "u k"]:
    hf, typed = model.hf, rows[0].ndim == 2

    def read_batch(batch: Sequence[TokenRow]) -> torch.Tensor:
        ids = torch.from_numpy(padded([np.atleast_2d(row)[0] for row in batch], model.pad))
        lengths = torch.tensor([row.shape[-1] for row in batch])
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long().to(hf.device)
        inputs = {"input_ids": ids.to(hf.device), "attention_mask": mask}
        if typed:
            types = padded([row[1] for row in batch], 0)
            inputs["token_type_ids"] = torch.from_numpy(types).to(hf.device)
        return read(hf(**inputs), mask)

    return read_packed(rows, most, read_batch)
