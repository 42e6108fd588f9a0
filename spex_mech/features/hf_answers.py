"""What causal and encoder-decoder readers share: continuations, their key, and greedy decoding."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

_LOGITS = 1 << 26  # entries of a batch's logits


def answers_key(answers: Sequence[Sequence[int]], similarity: bool) -> dict[str, str]:
    """The key's fields about continuations."""
    kind = "minus KL of next tokens, v1" if similarity else "summed log-probability, v1"
    return {"output": kind, "continuations": json.dumps([list(answer) for answer in answers])}


def at_once(positions: int, vocabulary: int) -> int:
    """Rows whose logits at so many positions fit in memory."""
    return max(1, _LOGITS // (positions * vocabulary))


def greedy(
    next_logits: Callable[[npt.NDArray[np.int32]], torch.Tensor],
    row: npt.NDArray[np.int32],
    most: int,
    tokenizer: Any,
) -> tuple[int, ...]:
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
