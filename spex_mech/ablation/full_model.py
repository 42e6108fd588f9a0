"""The full model on a game's prompts, in batches, with hooks: what rankings read off activations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int

from spex_mech.ablation.fills import pad
from spex_mech.ablation.game import TaskGame

Hooks = Sequence[tuple[str, Callable[..., Any]]]
_TOKENS = 2_048


@dataclass(frozen=True)
class Batch:
    """Some prompts of a game.

    Attributes:
        rows: int (b,), their places among the game's prompts.
        ids: int (b, t), token ids, padded on the right.
        real: bool (b, t), which tokens are the prompts' own.
    """

    rows: Int[np.ndarray, " b"]
    ids: Int[torch.Tensor, "b t"]
    real: Bool[torch.Tensor, "b t"]


def batches(game: TaskGame, tokens: int = _TOKENS) -> Iterator[Batch]:
    """A game's prompts, those of similar length together, about ``tokens`` at once."""
    lengths = np.array([len(t) for t in game.prompts.tokens])
    group: list[int] = []
    for row in [*np.argsort(lengths, kind="stable").tolist(), None]:
        if group and (row is None or (len(group) + 1) * lengths[row] > tokens):
            width = int(lengths[group].max())
            ids = pad(game.prompts, group, width, game.model.device)
            place = torch.arange(width, device=ids.device)
            ends = torch.as_tensor(lengths[group], device=ids.device)
            yield Batch(np.array(group), ids, place < ends[:, None])
            group = []
        if row is not None:
            group.append(row)


def logits(game: TaskGame, batch: Batch, hooks: Hooks) -> torch.Tensor:
    """Logits (b, t, vocabulary) of the model with TransformerLens hooks."""
    return game.model.bridge.run_with_hooks(batch.ids, fwd_hooks=list(hooks))


def row_scores(game: TaskGame, batch: Batch, found: torch.Tensor) -> torch.Tensor:
    """Scores of a batch's prompts as its game's engine gives them, differentiable: (b, k) or (b,)."""
    prompts, index = game.prompts, torch.arange(len(batch.rows), device=found.device)
    length = batch.real.sum(dim=1).to(found.device)
    if prompts.answers is not None:
        wanted = torch.from_numpy(prompts.answers[batch.rows]).to(found.device)
        return found[index, length - 1].gather(1, wanted)
    logprob = found[:, :-1].log_softmax(dim=-1)
    token = logprob.gather(2, batch.ids[:, 1:].to(found.device)[..., None])[..., 0]
    # Entry t predicts token t + 1, so a row's last target stands at length - 2.
    ending = torch.arange(token.shape[1], device=found.device) - (length - 1)[:, None]
    if prompts.targets is None:
        return (token * (ending < 0)).sum(dim=1) / (length - 1)
    count = torch.from_numpy(prompts.targets[batch.rows]).to(found.device)[:, None]
    return (token * ((ending < 0) & (ending >= -count))).sum(dim=1)
