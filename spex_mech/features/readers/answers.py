"""What causal and encoder-decoder readers share: answers, their scores and key, greedy decoding."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64

from spex_mech.core.errors import InputError
from spex_mech.features.tokens import TokenRow

AnswerIds = tuple[int, ...]
_LOGITS = 1 << 26  # entries of a batch's logits


def checked_answers(answers: Sequence[Sequence[int]]) -> list[AnswerIds]:
    """Token ids of answers.

    Raises:
        InputError: an answer without tokens.
    """
    ids = [tuple(answer) for answer in answers]
    if not all(ids):
        raise InputError("an answer has no tokens; give a text, such as target=' Paris'")
    return ids


def answers_key(answers: Sequence[Sequence[int]], similarity: bool) -> dict[str, str]:
    """The key's fields about continuations."""
    kind = "minus KL of next tokens, v1" if similarity else "summed log-probability, v1"
    return {"output": kind, "continuations": json.dumps([list(answer) for answer in answers])}


def rows_that_fit(positions: int, vocabulary: int) -> int:
    """Rows whose logits at so many positions fit in memory."""
    return max(1, _LOGITS // (positions * vocabulary))


def answer_scores(
    logits: Float[torch.Tensor, "b a v"],
    answer: AnswerIds,
    reference: Float[torch.Tensor, "a v"] | None,
) -> Float64[np.ndarray, " b"]:
    """Log-probabilities of an answer, or how like its next tokens are to a reference.

    Args:
        logits: float (b, a, vocabulary), which predict the a tokens of the answer.
        answer: its token ids.
        reference: log-probabilities (a, vocabulary) of the whole text; where given, the score is minus
            the divergence KL(reference || row) in nats per token.
    """
    logprobs = logits.log_softmax(-1)
    if reference is not None:
        divergences = (reference.exp() * (reference - logprobs)).sum(-1)
        return -divergences.mean(1).double().cpu().numpy()
    ids = torch.tensor(answer, device=logprobs.device)
    picked = logprobs.gather(2, ids[None, :, None].expand(len(logprobs), -1, 1))[:, :, 0]
    return picked.double().sum(1).cpu().numpy()


def greedy(
    next_logits: Callable[[TokenRow], torch.Tensor], row: TokenRow, most: int, tokenizer: Any
) -> AnswerIds:
    """The likeliest next token, again and again, until the model ends or there are ``most`` tokens."""
    ids: list[int] = []
    stop = getattr(tokenizer, "eos_token_id", None)
    with torch.inference_mode():
        while len(ids) < most:
            token = int(next_logits(np.concatenate([row, np.array(ids, dtype=np.int32)])).argmax())
            if token == stop and ids:
                break
            ids.append(token)
    return tuple(ids)
