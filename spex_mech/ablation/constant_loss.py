"""What a model loses with constants in place of removed parts: differentiable by the constants.

Pairs of a mask and a question go through TransformerLens's view of the model, every row under its own mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float, Int64

from spex_mech.ablation.fills import pad
from spex_mech.ablation.gates import spread
from spex_mech.ablation.reference import removal_hooks
from spex_mech.ablation.rotary import side_of
from spex_mech.ablation.scores import scores_of_logits
from spex_mech.core.players import PlayerSet
from spex_mech.models.model import Model
from spex_mech.tasks.prompts import NO_OPTION, Prompts

_TOKENS = 512  # of prompts that go through the model at once: a backward pass keeps every layer
_LOGITS = 2**25

Values = Mapping[str, torch.Tensor]
"""Constants by site, see `fills`."""


@dataclass(frozen=True)
class AblationLoss:
    """What one fit works on: a model, its prompts and players, and what the full model answers."""

    model: Model
    prompts: Prompts
    players: PlayerSet
    full: torch.Tensor | None

    def losses(
        self, values: Values, masks: Bool[np.ndarray, "p n"], questions: Int64[np.ndarray, " p"]
    ) -> Float[torch.Tensor, " p"]:
        """Losses of pairs of a mask and a question, all at once; differentiable by the values."""
        scores = _scores(self.model, self.prompts, self.players, values, masks, questions)
        if self.full is None:
            return -scores
        whole = self.full[torch.from_numpy(questions)].to(scores.device).log_softmax(dim=1)
        return (whole.exp() * (whole - scores.log_softmax(dim=1))).sum(dim=1)


@torch.no_grad()
def full_scores(
    model: Model, prompts: Prompts, players: PlayerSet, questions: Int64[np.ndarray, " e"]
) -> torch.Tensor | None:
    """What the full model answers to every question, (e, k); None for prompts without answers."""
    if not prompts.has_answers:
        return None
    masks = np.ones((len(questions), players.n), dtype=bool)
    parts: list[torch.Tensor] = []
    order: list[npt.NDArray[np.int64]] = []
    for some in chunks(prompts, questions, model):
        parts.append(_scores(model, prompts, players, {}, masks[some], questions[some]))
        order.append(some)
    place = torch.from_numpy(np.argsort(np.concatenate(order)))
    return torch.cat(parts).cpu()[place]


def chunks(
    prompts: Prompts, questions: Int64[np.ndarray, " p"], model: Model
) -> Iterator[npt.NDArray[np.int64]]:
    """Places of questions that go through the model together: alike in length, all options of each."""
    rows = prompts.rows_of(questions)
    lengths = np.array([len(t) for t in prompts.tokens])
    longest = np.where(rows >= 0, lengths[rows], 0).max(axis=1)
    vocabulary = model.hf.get_output_embeddings().weight.shape[0]
    most = max(1, min(_TOKENS, _LOGITS // vocabulary) // rows.shape[1])
    group: list[int] = []
    for place in np.argsort(longest, kind="stable"):
        if group and (len(group) + 1) * longest[place] > most:
            yield np.array(group)
            group = []
        group.append(int(place))
    if group:
        yield np.array(group)


def _scores(
    model: Model,
    prompts: Prompts,
    players: PlayerSet,
    values: Values,
    masks: Bool[np.ndarray, "p n"],
    questions: Int64[np.ndarray, " p"],
) -> Float[torch.Tensor, "p ..."]:
    """Scores of pairs of a mask and a question, (p, k), or (p,) of prompts without answers."""
    rows = prompts.rows_of(questions)
    exists = rows >= 0
    flat, owner = rows[exists], np.nonzero(exists)[0]
    scores = _row_scores(model, prompts, players, values, masks[owner], flat)
    if prompts.options is None:
        return scores
    out = scores.new_full(rows.shape, float(NO_OPTION))
    return out.index_put(tuple(torch.from_numpy(x) for x in np.nonzero(exists)), scores)


def _row_scores(
    model: Model,
    prompts: Prompts,
    players: PlayerSet,
    values: Values,
    masks: Bool[np.ndarray, "r n"],
    rows: Int64[np.ndarray, " r"],
) -> Float[torch.Tensor, "r ..."]:
    """Scores of rows of the prompts, each under its own mask."""
    side = side_of(model.hf)
    sides = np.array([side(len(prompts.tokens[row])) for row in rows])
    parts: list[torch.Tensor] = []
    order: list[npt.NDArray[np.int64]] = []
    for one in np.unique(sides):
        at = np.flatnonzero(sides == one)
        ids = pad(prompts, rows[at], max(len(prompts.tokens[r]) for r in rows[at]), model.device)
        gates = spread(players, model.shape, masks[at])
        hooks = removal_hooks(gates, lambda site, _: values[site], ids.device)
        logits = model.bridge.run_with_hooks(ids, fwd_hooks=hooks)[None]
        parts.append(scores_of_logits(prompts, rows[at], ids, logits, dtype=torch.float32)[0])
        order.append(at)
    place = torch.from_numpy(np.argsort(np.concatenate(order)))
    return torch.cat(parts)[place.to(parts[0].device)]
