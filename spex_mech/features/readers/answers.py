"""What causal and encoder-decoder readers share: continuations, their scores and key, greedy decoding."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64

from spex_mech.core.errors import InputError
from spex_mech.features.tokens import Row

Answer = tuple[int, ...]
_LOGITS = 1 << 26  # entries of a batch's logits


def checked_answers(answers: Sequence[Sequence[int]]) -> list[Answer]:
    """Token ids of answers.

    Raises:
        InputError: an answer without tokens.
    """
    found = [tuple(answer) for answer in answers]
    if not all(found):
        raise InputError("an answer has no tokens; give a text, such as target=' Paris'")
    return found


def answers_key(answers: Sequence[Sequence[int]], similarity: bool) -> dict[str, str]:
    """The key's fields about continuations."""
    kind = "minus KL of next tokens, v1" if similarity else "summed log-probability, v1"
    return {"output": kind, "continuations": json.dumps([list(answer) for answer in answers])}


def at_once(positions: int, vocabulary: int) -> int:
    """Rows whose logits at so many positions fit in memory."""
    return max(1, _LOGITS // (positions * vocabulary))


def answer_scores(
    logits: Float[torch.Tensor, "b a v"],
    answer: Answer,
    reference: Float[torch.Tensor, "a v"] | None,
) -> Float64[np.ndarray, " b"]:
    """Log-probabilities of an answer, or how like its next tokens are to a reference.

    Args:
        logits: float (b, a, vocabulary), which predict the a tokens of the answer.
        answer: its token ids.
        reference: log-probabilities (a, vocabulary) of the whole text; where given, the score is minus
            the divergence KL(reference || row) in nats a token.
    """
    found = logits.log_softmax(-1)
    if reference is not None:
        gap = (reference.exp() * (reference - found)).sum(-1)
        return -gap.mean(1).double().cpu().numpy()
    ids = torch.tensor(answer, device=found.device)
    picked = found.gather(2, ids[None, :, None].expand(len(found), -1, 1))[:, :, 0]
    return picked.double().sum(1).cpu().numpy()


def greedy(
    next_logits: Callable[[Row], torch.Tensor], row: Row, most: int, tokenizer: Any
) -> Answer:
    """The likeliest next token, again and again, until the model ends or ``most`` tokens are there."""
    said: list[int] = []
    stop = getattr(tokenizer, "eos_token_id", None)
    with torch.inference_mode():
        while len(said) < most:
            token = int(next_logits(np.concatenate([row, np.array(said, dtype=np.int32)])).argmax())
            if token == stop and said:
                break
            said.append(token)
    return tuple(said)
