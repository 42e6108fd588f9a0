"""Reading texts with an encoder-decoder model: the log-probabilities of given answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from spex_mech.core.errors import InputError
from spex_mech.features.readers.answers import (
    Answer,
    answer_scores,
    answers_key,
    at_once,
    checked_answers,
    greedy,
)
from spex_mech.features.readers.batches import pack_rows, padded
from spex_mech.features.readers.model import TextModel
from spex_mech.features.tokens import Row


class Seq2SeqReader:
    """A ``...ForConditionalGeneration``: masked texts go to the encoder, answers to the decoder.

    Each text is encoded once, whatever the number of answers.

    Args:
        model: the model.

    Raises:
        InputError: a model that does not say what its decoder starts with.
    """

    def __init__(self, model: TextModel) -> None:
        self._model, self._hf = model, model.hf
        self._answers: list[Answer] = []
        self._reference: torch.Tensor | None = None
        hf = model.hf
        found = (
            getattr(part, name, None)
            for part in (hf.config, getattr(hf, "generation_config", None))
            for name in ("decoder_start_token_id", "bos_token_id")
        )
        self._start = next((token for token in found if isinstance(token, int)), None)
        if self._start is None:
            raise InputError(
                f"{type(hf).__name__} does not say what its decoder starts with; set "
                "model.config.decoder_start_token_id"
            )

    @property
    def key(self) -> dict[str, str]:
        """Weights, dtype, and the answers."""
        return {**self._model.key, **answers_key(self._answers, self._reference is not None)}

    def ask(self, full: Row, answers: Sequence[Sequence[int]], *, similarity: bool) -> None:
        """Say what is to be answered; see `CausalReader.ask`.

        Raises:
            InputError: an answer without tokens.
        """
        self._answers = checked_answers(answers)
        self._reference = None
        if similarity:
            with torch.inference_mode():
                found = self._logits(*self._encode([full]), self._answers[0])
                self._reference = found[0].log_softmax(-1)

    def continue_text(self, full: Row, most: int) -> Answer:
        """What the model itself answers: up to ``most`` tokens, each the likeliest."""
        with torch.inference_mode():
            encoded = self._encode([full])

        def following(said: Row) -> torch.Tensor:
            return self._logits(*encoded, (*said.tolist(), 0))[0, -1]

        return greedy(following, np.empty(0, dtype=np.int32), most, self._model.tokenizer)

    def outputs(self, rows: Sequence[Row]) -> Float64[np.ndarray, "u k"]:
        """Log-probabilities (u, answers), or minus divergences (u, 1), of rows of token ids."""
        answers = self._answers[:1] if self._reference is not None else self._answers
        out = np.empty((len(rows), len(answers)))
        longest = max(len(answer) for answer in answers)
        size = at_once(longest, self._hf.config.get_text_config().vocab_size)
        with torch.inference_mode():
            for packed in pack_rows([len(row) for row in rows], self._model.tokens):
                for start in range(0, len(packed), size):
                    batch = packed[start : start + size]
                    encoded = self._encode([rows[i] for i in batch])
                    for k, answer in enumerate(answers):
                        logits = self._logits(*encoded, answer)
                        out[batch, k] = answer_scores(logits, answer, self._reference)
        return out

    def _encode(self, rows: Sequence[Row]) -> tuple[Any, torch.Tensor]:
        ids = torch.from_numpy(padded(rows, self._model.pad)).to(self._hf.device)
        lengths = torch.tensor([len(row) for row in rows], device=self._hf.device)
        mask = (torch.arange(ids.shape[1], device=self._hf.device) < lengths[:, None]).long()
        return self._hf.get_encoder()(input_ids=ids, attention_mask=mask, return_dict=True), mask

    def _logits(self, states: Any, mask: torch.Tensor, answer: Answer) -> torch.Tensor:
        """Logits (b, len(answer), vocabulary), float32, that predict the answer."""
        given = torch.tensor([self._start, *answer[:-1]], device=mask.device)
        return self._hf(
            encoder_outputs=states,
            attention_mask=mask,
            decoder_input_ids=given[None].expand(len(mask), -1),
            use_cache=False,
        ).logits.float()
