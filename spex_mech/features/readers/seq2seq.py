"""Reading texts with an encoder-decoder model: the log-probabilities of given answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from spex_mech.core.errors import InputError
from spex_mech.features.readers.answers import (
    AnswerIds,
    answer_scores,
    answers_key,
    checked_answers,
    greedy,
    rows_that_fit,
)
from spex_mech.features.readers.model import TextModel
from spex_mech.features.tokens import TokenRow, pack_rows, padded


class Seq2SeqReader:
    """A ``...ForConditionalGeneration``: masked texts go to the encoder, answers to the decoder.

    Each text is encoded once, whatever the number of answers.

    Args:
        model: the model.

    Raises:
        InputError: a model whose decoder has no start token.
    """

    def __init__(self, model: TextModel) -> None:
        self._model, self._hf = model, model.hf
        self._answers: list[AnswerIds] = []
        self._reference: torch.Tensor | None = None
        hf = model.hf
        tokens = (
            getattr(part, name, None)
            for part in (hf.config, getattr(hf, "generation_config", None))
            for name in ("decoder_start_token_id", "bos_token_id")
        )
        self._start = next((token for token in tokens if isinstance(token, int)), None)
        if self._start is None:
            raise InputError(
                f"{type(hf).__name__} has no token that its decoder starts with; set "
                "model.config.decoder_start_token_id"
            )

    @property
    def key(self) -> dict[str, str]:
        """Weights, dtype, and the answers."""
        return {**self._model.key, **answers_key(self._answers, self._reference is not None)}

    def set_answers(
        self, full: TokenRow, answers: Sequence[Sequence[int]], *, similarity: bool
    ) -> None:
        """Set the answers whose log-probabilities are the outputs; see `CausalReader.set_answers`.

        Raises:
            InputError: an answer without tokens.
        """
        self._answers = checked_answers(answers)
        self._reference = None
        if similarity:
            with torch.inference_mode():
                logits = self._logits(*self._encode([full]), self._answers[0])
                self._reference = logits[0].log_softmax(-1)

    def continue_text(self, full: TokenRow, most: int) -> AnswerIds:
        """What the model itself answers: up to ``most`` tokens, each the likeliest."""
        with torch.inference_mode():
            encoded = self._encode([full])

        def following(ids: TokenRow) -> torch.Tensor:
            return self._logits(*encoded, (*ids.tolist(), 0))[0, -1]

        return greedy(following, np.empty(0, dtype=np.int32), most, self._model.tokenizer)

    def outputs(self, rows: Sequence[TokenRow]) -> Float64[np.ndarray, "u k"]:
        """Log-probabilities (u, answers), or minus divergences (u, 1), of rows of token ids."""
        answers = self._answers[:1] if self._reference is not None else self._answers
        out = np.empty((len(rows), len(answers)))
        longest = max(len(answer) for answer in answers)
        size = rows_that_fit(longest, self._hf.config.get_text_config().vocab_size)
        with torch.inference_mode():
            for packed in pack_rows([len(row) for row in rows], self._model.tokens):
                for start in range(0, len(packed), size):
                    batch = packed[start : start + size]
                    encoded = self._encode([rows[i] for i in batch])
                    for k, answer in enumerate(answers):
                        logits = self._logits(*encoded, answer)
                        out[batch, k] = answer_scores(logits, answer, self._reference)
        return out

    def _encode(self, rows: Sequence[TokenRow]) -> tuple[Any, torch.Tensor]:
        ids = torch.from_numpy(padded(rows, self._model.pad)).to(self._hf.device)
        lengths = torch.tensor([len(row) for row in rows], device=self._hf.device)
        mask = (torch.arange(ids.shape[1], device=self._hf.device) < lengths[:, None]).long()
        return self._hf.get_encoder()(input_ids=ids, attention_mask=mask, return_dict=True), mask

    def _logits(self, states: Any, mask: torch.Tensor, answer: AnswerIds) -> torch.Tensor:
        """Logits (b, len(answer), vocabulary), float32, that predict the answer."""
        ids = torch.tensor([self._start, *answer[:-1]], device=mask.device)
        return self._hf(
            encoder_outputs=states,
            attention_mask=mask,
            decoder_input_ids=ids[None].expand(len(mask), -1),
            use_cache=False,
        ).logits.float()
