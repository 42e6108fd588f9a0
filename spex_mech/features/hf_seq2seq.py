"""Reading texts with an encoder-decoder model: the log-probabilities of given answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float64

from spex_mech.errors import InputError
from spex_mech.features.hf_answers import answers_key, at_once, greedy
from spex_mech.features.hf_facts import context_of, pad_of, weights_key
from spex_mech.features.packing import TOKENS, pack_rows, padded

Row = npt.NDArray[np.int32]


class Seq2SeqReader:
    """A ``...ForConditionalGeneration``: masked texts go to the encoder, answers to the decoder.

    Each text is encoded once, whatever the number of answers.

    Args:
        hf: the model, in evaluation mode.
        tokenizer: its tokenizer.
        tokens: tokens to read at once.

    Raises:
        InputError: a model that does not say what its decoder starts with.
    """

    def __init__(self, hf: Any, tokenizer: Any, tokens: int = TOKENS) -> None:
        self.hf, self.tokenizer, self.tokens = hf, tokenizer, tokens
        self.context = context_of(hf.config, tokenizer)
        self._pad = pad_of(hf.config, tokenizer)
        self._weights = weights_key(hf)
        self._answers: list[tuple[int, ...]] = []
        self._reference: torch.Tensor | None = None
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
        return {**self._weights, **answers_key(self._answers, self._reference is not None)}

    def ask(self, full: Row, answers: Sequence[Sequence[int]], *, similarity: bool) -> None:
        """Say what is to be answered; see `CausalReader.ask`.

        Raises:
            InputError: an empty answer.
        """
        self._answers = [tuple(answer) for answer in answers]
        if not all(self._answers):
            raise InputError("an answer has no tokens; give a text, such as target='yes'")
        self._reference = None
        if similarity:
            with torch.inference_mode():
                found = self._logits(*self._encode([full]), self._answers[0])
                self._reference = found[0].log_softmax(-1)

    def continue_text(self, full: Row, most: int) -> tuple[int, ...]:
        """What the model itself answers: up to ``most`` tokens, each the likeliest."""
        with torch.inference_mode():
            encoded = self._encode([full])

        def following(said: Row) -> torch.Tensor:
            return self._logits(*encoded, (*said.tolist(), 0))[0, -1]

        return greedy(following, np.empty(0, dtype=np.int32), most, self.tokenizer)

    def outputs(self, rows: Sequence[Row]) -> Float64[np.ndarray, "u k"]:
        """Log-probabilities (u, answers), or minus divergences (u, 1), of rows of token ids."""
        answers = self._answers[:1] if self._reference is not None else self._answers
        out = np.empty((len(rows), len(answers)))
        longest = max(len(answer) for answer in answers)
        size = at_once(longest, self.hf.config.get_text_config().vocab_size)
        with torch.inference_mode():
            for packed in pack_rows([len(row) for row in rows], self.tokens):
                for start in range(0, len(packed), size):
                    batch = packed[start : start + size]
                    encoded = self._encode([rows[i] for i in batch])
                    for k, answer in enumerate(answers):
                        out[batch, k] = self._score(*encoded, answer)
        return out

    def _score(self, states: Any, mask: torch.Tensor, answer: tuple[int, ...]) -> Any:
        found = self._logits(states, mask, answer).log_softmax(-1)
        if self._reference is not None:
            gap = (self._reference.exp() * (self._reference - found)).sum(-1)
            return -gap.mean(1).double().cpu().numpy()
        ids = torch.tensor(answer, device=found.device)
        picked = found.gather(2, ids[None, :, None].expand(len(found), -1, 1))[:, :, 0]
        return picked.double().sum(1).cpu().numpy()

    def _encode(self, rows: Sequence[Row]) -> tuple[Any, torch.Tensor]:
        ids = torch.from_numpy(padded(rows, self._pad)).to(self.hf.device)
        lengths = torch.tensor([len(row) for row in rows], device=self.hf.device)
        mask = (torch.arange(ids.shape[1], device=self.hf.device) < lengths[:, None]).long()
        return self.hf.get_encoder()(input_ids=ids, attention_mask=mask, return_dict=True), mask

    def _logits(self, states: Any, mask: torch.Tensor, answer: tuple[int, ...]) -> torch.Tensor:
        """Logits (b, len(answer), vocabulary), float32, that predict the answer."""
        given = torch.tensor([self._start, *answer[:-1]], device=mask.device)
        return self.hf(
            encoder_outputs=states,
            attention_mask=mask,
            decoder_input_ids=given[None].expand(len(mask), -1),
            use_cache=False,
        ).logits.float()
