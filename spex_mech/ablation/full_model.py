"""The full model on a game's prompts, in batches, with hooks that read or scale its activations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int

from spex_mech.ablation.fills import pad
from spex_mech.ablation.game import TaskGame
from spex_mech.ablation.rotary import side_of
from spex_mech.models.bridge import bridge_errors

Hooks = Sequence[tuple[str, Callable[..., Any]]]
_TOKENS = 2_048


@dataclass(frozen=True)
class PaddedPrompts:
    """Some prompts of a game.

    Attributes:
        rows: int (b,), their places among the game's prompts.
        ids: int (b, t), token ids, padded on the right.
        real: bool (b, t), which tokens are the prompts' own.
    """

    rows: Int[np.ndarray, " b"]
    ids: Int[torch.Tensor, "b t"]
    real: Bool[torch.Tensor, "b t"]


def batches(game: TaskGame, tokens: int = _TOKENS) -> Iterator[PaddedPrompts]:
    """A game's prompts, those of similar length together, about ``tokens`` at once."""
    lengths = np.array([len(t) for t in game.prompts.tokens])
    group: list[int] = []
    side = side_of(game.model.hf)
    for row in [*np.argsort(lengths, kind="stable").tolist(), None]:
        if group and (
            row is None
            or (len(group) + 1) * lengths[row] > tokens
            or side(int(lengths[row])) != side(int(lengths[group[0]]))
        ):
            width = int(lengths[group].max())
            ids = pad(game.prompts, group, width, game.model.device)
            place = torch.arange(width, device=ids.device)
            ends = torch.as_tensor(lengths[group], device=ids.device)
            yield PaddedPrompts(np.array(group), ids, place < ends[:, None])
            group = []
        if row is not None:
            group.append(row)


def logits(game: TaskGame, batch: PaddedPrompts, hooks: Hooks) -> torch.Tensor:
    """Logits (b, t, vocabulary) of the model with TransformerLens hooks.

    Raises:
        InputError: a model that TransformerLens does not support, or that has not the places of the hooks.
    """
    with bridge_errors(game.model.hf, game.model.name):
        return game.model.bridge.run_with_hooks(batch.ids, fwd_hooks=list(hooks))
