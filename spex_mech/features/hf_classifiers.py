"""Reading texts with a Hugging Face sequence classifier, or with an encoder for its embedding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float64

from spex_mech.features.hf_facts import context_of, pad_of, weights_key
from spex_mech.features.packing import TOKENS, pack_rows, padded


class ClassifierReader:
    """A ``...ForSequenceClassification``: outputs are its logits.

    Args:
        hf: the model, in evaluation mode.
        tokenizer: its tokenizer.
        tokens: tokens to read at once.
    """

    def __init__(self, hf: Any, tokenizer: Any, tokens: int = TOKENS) -> None:
        self.hf, self.tokenizer, self.tokens = hf, tokenizer, tokens
        self.context = context_of(hf.config, tokenizer)
        self.key = {**weights_key(hf), "output": "class logits, v1"}
        self._pad = pad_of(hf.config, tokenizer)

    @property
    def labels(self) -> dict[int, str]:
        """Names of the classes."""
        return {int(c): str(label) for c, label in self.hf.config.id2label.items()}

    def outputs(self, rows: Sequence[npt.NDArray[np.int32]]) -> Float64[np.ndarray, "u k"]:
        """Logits (u, classes) of rows of token ids."""
        # A causal classifier without a padding token cannot find the last token of padded rows.
        alone = getattr(self.hf.config.get_text_config(), "pad_token_id", None) is None
        most = 1 if alone and not self.hf.config.is_encoder_decoder else self.tokens
        return _in_batches(self.hf, rows, self._pad, most, lambda out, mask: out.logits)


class EmbeddingReader:
    """An encoder without a head: the output is the cosine of its mean last state with the whole text's.

    Args:
        hf: the model, in evaluation mode.
        tokenizer: its tokenizer.
        tokens: tokens to read at once.
    """

    def __init__(self, hf: Any, tokenizer: Any, tokens: int = TOKENS) -> None:
        self.hf, self.tokenizer, self.tokens = hf, tokenizer, tokens
        self.context = context_of(hf.config, tokenizer)
        self.key = {**weights_key(hf), "output": "cosine of mean last hidden state, v1"}
        self._pad = pad_of(hf.config, tokenizer)
        self._whole: npt.NDArray[np.float64] | None = None

    def compare_with(self, row: npt.NDArray[np.int32]) -> None:
        """Say what the whole text is."""
        self._whole = self._embed([row])[0]

    def outputs(self, rows: Sequence[npt.NDArray[np.int32]]) -> Float64[np.ndarray, "u 1"]:
        """Cosine (u, 1) of each row's embedding with the whole text's."""
        found = self._embed(rows)
        whole = found[0] if self._whole is None else self._whole
        norms = np.linalg.norm(found, axis=1) * np.linalg.norm(whole)
        return (found @ whole / norms)[:, None]

    def _embed(self, rows: Sequence[npt.NDArray[np.int32]]) -> npt.NDArray[np.float64]:
        def mean(out: Any, mask: torch.Tensor) -> torch.Tensor:
            states = out.last_hidden_state.float() * mask[:, :, None]
            return states.sum(1) / mask.sum(1, keepdim=True)

        return _in_batches(self.hf, rows, self._pad, self.tokens, mean)


def _in_batches(
    hf: Any, rows: Sequence[npt.NDArray[np.int32]], pad: int, most: int, read: Any
) -> npt.NDArray[np.float64]:
    parts: dict[int, npt.NDArray[np.float64]] = {}
    with torch.inference_mode():
        for batch in pack_rows([len(row) for row in rows], most):
            ids = torch.from_numpy(padded([rows[i] for i in batch], pad)).to(hf.device)
            lengths = torch.tensor([len(rows[i]) for i in batch], device=hf.device)
            mask = (torch.arange(ids.shape[1], device=hf.device) < lengths[:, None]).long()
            found = read(hf(input_ids=ids, attention_mask=mask), mask)
            parts.update(zip(batch, found.double().cpu().numpy(), strict=True))
    return np.stack([parts[i] for i in range(len(rows))])
