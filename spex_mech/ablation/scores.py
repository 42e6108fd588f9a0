"""Scores out of a model's logits: of answers at the last position, or of the tokens themselves."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int

from spex_mech.tasks.prompts import Prompts


def scores_of_logits(
    prompts: Prompts,
    rows: Int[np.ndarray, " b"],
    ids: Int[torch.Tensor, "b t"],
    logits: Float[torch.Tensor, "m b t v"],
    *,
    dtype: torch.dtype | None = None,
) -> Float[torch.Tensor, "m b ..."]:
    """Answer logits (m, b, k), or log-probabilities (m, b) of prompts without answers; differentiable.

    Args:
        prompts: the prompts of a game.
        rows: which of them the logits belong to.
        ids: token ids of these rows, padded on the right.
        logits: of m masks on these rows.
        dtype: what to compute in; default that of the logits.
    """
    device = logits.device
    length = torch.tensor([len(prompts.tokens[row]) for row in rows], device=device)
    index = torch.arange(len(rows), device=device)
    if prompts.answers is not None:
        last = logits[:, index, length - 1].to(dtype or logits.dtype)
        answers = torch.from_numpy(prompts.answers[rows]).to(device)
        return last.gather(2, answers.expand(len(last), -1, -1))
    logprob = logits[:, :, :-1].to(dtype or logits.dtype).log_softmax(dim=-1)
    target = ids[:, 1:].to(device).expand(len(logits), -1, -1)
    token = logprob.gather(3, target[..., None])[..., 0]
    # Entry t predicts token t + 1, so a row's last target stands at length - 2.
    ending = torch.arange(token.shape[2], device=device) - (length - 1)[:, None]
    if prompts.targets is None:
        return (token * (ending < 0)).sum(dim=2) / (length - 1)
    count = torch.from_numpy(prompts.targets[rows]).to(device)[:, None]
    return (token * ((ending < 0) & (ending >= -count))).sum(dim=2)
