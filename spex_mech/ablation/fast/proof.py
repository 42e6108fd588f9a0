"""The check that the fast engine gives the reference's scores, made before anything else is scored."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float32

from spex_mech.ablation.fast.engine import FastEngine
from spex_mech.ablation.fills import Ablation
from spex_mech.ablation.reference import ReferenceEngine
from spex_mech.core.errors import InputError
from spex_mech.core.masks import unique
from spex_mech.core.players import PlayerSet
from spex_mech.models.model import Model
from spex_mech.tasks.prompts import Prompts

# Shares of the largest score, or of 1. Half precisions round each layer's sums in another order: up to
# 0.059 (bfloat16) and 0.006 (float16) were seen on random models of 32 layers; a mistake is far more.
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9, torch.float16: 2e-2, torch.bfloat16: 0.125}


class ProvenEngine:
    """A `FastEngine` that is checked against the `ReferenceEngine` when it is first used.

    Raises:
        InputError: as `FastEngine`; and from `scores` where the two engines disagree.
    """

    def __init__(
        self, model: Model, prompts: Prompts, players: PlayerSet, ablation: Ablation
    ) -> None:
        self._game = model, prompts, players, ablation
        self._fast = FastEngine(model, prompts, players, ablation)
        self._proven = False

    def scores(self, masks: Bool[np.ndarray, "m n"]) -> Float32[np.ndarray, "m e ..."]:
        """Scores of every ablated model on every row, as `ReferenceEngine.scores` gives them."""
        if not self._proven:
            prove(*self._game)
            self._proven = True
        return self._fast.scores(masks)


def prove(model: Model, prompts: Prompts, players: PlayerSet, ablation: Ablation) -> None:
    """Score a few masks on two prompts with both engines, and compare.

    The masks keep everything, nothing, and two random halves. The prompts are the shortest and one of
    median length, so that the check costs little compared with a run.

    Raises:
        InputError: the engines differ by more than `TOLERANCE` allows; the message names mask and example.
    """
    masks = np.random.default_rng(0).random((4, players.n)) < 0.5
    masks[0], masks[1] = True, False
    masks = masks[unique(masks)[0]]
    rows = _few(prompts)
    few = dataclasses.replace(
        prompts,
        tokens=tuple(prompts.tokens[r] for r in rows),
        answers=None if prompts.answers is None else prompts.answers[rows],
        targets=None if prompts.targets is None else prompts.targets[rows],
    )
    engines = (e(model, few, players, ablation) for e in (FastEngine, ReferenceEngine))
    fast, reference = (engine.scores(masks) for engine in engines)
    at = disagreement(fast, reference, model.dtype)
    if at is None:
        return
    gone = [name for name, kept in zip(players.names, masks[at[0]], strict=True) if not kept]
    raise InputError(
        f"the fast engine differs from the reference on example {_example(prompts, rows[at[1]])!r} "
        f"without {_listed(gone)}: it scores {fast[at]}, the reference {reference[at]}; pass "
        "engine='reference' to TaskGame, and please report the model's architecture and this message"
    )


def disagreement(
    fast: Float32[np.ndarray, "m e ..."],
    reference: Float32[np.ndarray, "m e ..."],
    dtype: torch.dtype,
) -> tuple[int, int] | None:
    """Mask and row of the largest difference beyond the tolerance of a dtype, or None."""
    finite = np.abs(reference[np.isfinite(reference)])
    allowed = TOLERANCE.get(dtype, 1e-4) * max(1.0, float(finite.max(initial=0.0)))
    with np.errstate(invalid="ignore"):
        apart = np.abs(fast.astype(np.float64) - reference)
    same = (fast == reference) | (np.isnan(fast) & np.isnan(reference))
    apart = np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))
    apart = apart.reshape(*apart.shape[:2], -1).max(axis=2)
    if apart.max() <= allowed:
        return None
    mask, row = np.unravel_index(int(apart.argmax()), apart.shape)
    return int(mask), int(row)


def _few(prompts: Prompts) -> npt.NDArray[np.int64]:
    by_length = np.argsort([len(t) for t in prompts.tokens], kind="stable")
    places = {0, len(by_length) // 2}
    return by_length[sorted(places)]


def _example(prompts: Prompts, row: int) -> str:
    if prompts.options is None:
        return prompts.ids[row]
    return prompts.ids[int(np.argwhere(prompts.options == row)[0, 0])]


def _listed(names: list[str]) -> str:
    if len(names) <= 8:
        return " ".join(names) or "nothing"
    return f"{' '.join(names[:8])} and {len(names) - 8} more"
