"""`attention_patterns`: what heads attend to in a game's questions, in the full model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from spex_mech.ablation.fills import pad
from spex_mech.ablation.full_model import PaddedPrompts, logits
from spex_mech.ablation.game import TaskGame
from spex_mech.core.attention import AttentionPattern
from spex_mech.core.errors import InputError
from spex_mech.core.players import units

_QUESTIONS = 3
_LONGEST = 64
"""Tokens of the longest prompt of which all positions are kept; of longer ones the last position is."""


def attention_patterns(
    game: TaskGame,
    heads: Sequence[str] | None = None,
    *,
    questions: int | Sequence[int] = _QUESTIONS,
) -> tuple[AttentionPattern, ...]:
    """What heads attend to in some questions, in one forward pass of the full model for each.

    Nothing is removed. Of a prompt of more than 64 tokens only the last position is kept, from which the
    answer is read. A question with a prompt for each of its options is shown with the first one.

    Args:
        game: the game; its metric and ablation play no part.
        heads: names of players of the game that are heads or key/value groups; by default all. A group's
            query heads are shown one by one.
        questions: how many questions, the first ones; or their places among the game's.

    Raises:
        InputError: players that are neither heads nor groups, unknown names, questions that there are not, or
            a model whose attention TransformerLens does not show.
    """
    places = _places(game, heads)
    layers = sorted({layer for layer, _ in places})
    patterns = []
    for row in _rows(game, questions):
        found: dict[int, torch.Tensor] = {}
        length = len(game.prompts.tokens[row])
        batch = PaddedPrompts(
            np.array([row]),
            pad(game.prompts, [row], length, game.model.device),
            torch.ones((1, length), dtype=torch.bool),
        )
        hooks = [(f"blocks.{layer}.attn.hook_pattern", _keep(layer, found)) for layer in layers]
        with torch.inference_mode():
            logits(game, batch, hooks)
        unseen = [layer for layer in layers if layer not in found]
        if unseen:
            raise InputError(
                f"what the heads of {game.model.name!r} ({type(game.model.hf).__name__}) attend to is not "
                f"known: TransformerLens does not show it in layer {unseen[0]}; leave its patterns out"
            )
        kept = length if length <= _LONGEST else 1
        weights = np.stack(
            [found[layer][0, h, -kept:].float().cpu().numpy() for layer, h in places]
        )
        names = tuple(f"L{layer}H{head}" for layer, head in places)
        patterns.append(AttentionPattern(names, _texts(game, row), weights))
    return tuple(patterns)


def _places(game: TaskGame, heads: Sequence[str] | None) -> list[tuple[int, int]]:
    """Layer and number of every head that is asked for."""
    players = {p.name: p for p in game.players}
    unknown = [name for name in heads or () if name not in players]
    if unknown:
        raise InputError(f"the game has no player {unknown[0]!r}; give names of game.players")
    chosen = [*players.values()] if heads is None else [players[name] for name in heads]
    odd = [p.name for p in chosen if p.kind not in ("head", "kv")]
    if odd or not chosen:
        raise InputError(
            f"attention patterns are those of heads and key/value groups, not of {odd[:1] or 'no player'}; "
            "name some of these"
        )
    return [place for p in chosen for place in units(p, game.model.shape)]


def _rows(game: TaskGame, questions: int | Sequence[int]) -> list[int]:
    """The rows of the game's prompts that show these questions."""
    count = len(game.question_ids)
    places = list(range(questions)) if isinstance(questions, int) else list(questions)
    if not places or not all(0 <= place < count for place in places):
        raise InputError(
            f"questions is {questions}, expected one or more of the game's {count}, counted from 0"
        )
    options = game.prompts.options
    return places if options is None else [int(options[place][0]) for place in places]


def _texts(game: TaskGame, row: int) -> tuple[str, ...]:
    """The tokens of a prompt as text; their ids without a tokenizer."""
    ids, tokenizer = game.prompts.tokens[row], game.model.tokenizer
    return tuple(str(i) if tokenizer is None else tokenizer.decode([int(i)]) for i in ids)


def _keep(layer: int, found: dict[int, torch.Tensor]) -> Callable[..., None]:
    def hook_fn(activation: torch.Tensor, hook: Any) -> None:
        found[layer] = activation.detach()

    return hook_fn
