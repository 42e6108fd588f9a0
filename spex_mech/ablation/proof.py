"""The checks of a game's engine, made before anything else is scored.

The unablated model must score as Hugging Face's own code does, with the attention that the user loaded; and
the fast engine must score ablated models as the reference does.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool, Float32, Int64

from spex_mech.ablation.fast.engine import FastEngine
from spex_mech.ablation.fills import Ablation, pad
from spex_mech.ablation.reference import ReferenceEngine
from spex_mech.ablation.scores import scores_of_logits
from spex_mech.core.errors import InputError
from spex_mech.core.masks import unique
from spex_mech.core.players import PlayerSet
from spex_mech.models.bridge import bridge_errors
from spex_mech.models.model import Model
from spex_mech.tasks.prompts import Prompts

# Shares of the largest score, or of 1. Half precisions round each layer's sums in another order: up to
# 0.059 (bfloat16) and 0.006 (float16) were seen on random models of 32 layers; a mistake is far more. Scores
# are float32 whatever the model's dtype, and Hugging Face's norms and angles too.
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-4, torch.float16: 2e-2, torch.bfloat16: 0.125}

Kind = type[FastEngine] | type[ReferenceEngine]
_HELD: WeakKeyDictionary[Model, set[tuple]] = WeakKeyDictionary()


class ProvenEngine:
    """An engine that is checked when it is first used: `hold`, and a `FastEngine` also by `prove`.

    Raises:
        InputError: as the engine; and from `scores` where a check fails.
    """

    def __init__(
        self, kind: Kind, model: Model, prompts: Prompts, players: PlayerSet, ablation: Ablation
    ) -> None:
        self._game = model, prompts, players, ablation
        self._engine = kind(model, prompts, players, ablation)
        self._proven = False

    def scores(self, masks: Bool[np.ndarray, "m n"]) -> Float32[np.ndarray, "m e ..."]:
        """Scores of every ablated model on every row, as `ReferenceEngine.scores` gives them."""
        self._check()
        return self._engine.scores(masks)

    def pair_scores(
        self, masks: Bool[np.ndarray, "m n"], pairs: Int64[np.ndarray, "p 2"]
    ) -> Float32[np.ndarray, "p ..."]:
        """Scores of some masks on some rows, as `ReferenceEngine.pair_scores` gives them."""
        self._check()
        return self._engine.pair_scores(masks, pairs)

    def with_prompts(self, prompts: Prompts) -> ProvenEngine:
        """The same engine for other prompts; it is checked on its own prompts, and not again on these."""
        self._check()
        model, _, players, ablation = self._game
        other = ProvenEngine(type(self._engine), model, prompts, players, ablation)
        other._proven = True
        return other

    def asking_cost(self) -> tuple[float, float]:
        """Tokens that a mask costs however little it is asked, and those of a question under it."""
        return self._engine.asking_cost()

    def _check(self) -> None:
        if not self._proven:
            model = self._game[0]
            with bridge_errors(model.hf, model.name):
                hold(type(self._engine), *self._game)
            if isinstance(self._engine, FastEngine):
                prove(*self._game)
            self._proven = True


def hold(
    kind: Kind, model: Model, prompts: Prompts, players: PlayerSet, ablation: Ablation
) -> None:
    """Score the shortest and the longest prompt unablated, and compare with the model as it was loaded.

    A model that has passed with these prompts is not run again.

    Raises:
        InputError: the engine differs from ``model.hf`` by more than `TOLERANCE` allows.
    """
    by_length = _by_length(prompts)
    rows = np.unique([by_length[0], by_length[-1]])
    few = _some(prompts, rows)
    held = _HELD.setdefault(model, set())
    texts = [x if x is None else x.tobytes() for x in (few.answers, few.targets)]
    key = (kind, few.tokens, *texts)
    if key in held:
        return
    whole = np.ones((1, players.n), dtype=bool)
    engine = kind(model, few, players, ablation).scores(whole)
    plain = np.concatenate([plain_scores(model, few, row) for row in range(len(rows))], axis=1)
    at = disagreement(engine, plain, model.dtype)
    if at is not None:
        by = "the fast engine" if kind is FastEngine else "TransformerLens"
        raise InputError(
            f"{model.name!r} ({type(model.hf).__name__}) cannot be ablated: on example "
            f"{_example(prompts, rows[at[1]])!r}, with nothing removed, {by} scores {engine[at]} and Hugging "
            f"Face's own code ({model.hf.config._attn_implementation} attention) {plain[at]}. "
            "TransformerLens computes this architecture, or a setting of its config, differently; use "
            "another model"
        )
    held.add(key)


def plain_scores(model: Model, prompts: Prompts, row: int) -> Float32[np.ndarray, "1 1 ..."]:
    """Scores of the model as it was loaded on one prompt, by Hugging Face's own code."""
    rows = np.array([row])
    ids = pad(prompts, [row], len(prompts.tokens[row]), model.device)
    known = inspect.signature(model.hf.forward).parameters
    options: dict[str, Any] = {"use_cache": False} if "use_cache" in known else {}
    if prompts.answers is not None and "logits_to_keep" in known:
        options["logits_to_keep"] = 1
    with torch.inference_mode():
        logits = model.hf(ids, **options).logits[None]
    if "logits_to_keep" in options:  # the only position left is the one that is read
        logits = logits[:, :, -1:].expand(-1, -1, ids.shape[1], -1)
    return scores_of_logits(prompts, rows, ids, logits, dtype=torch.float32).cpu().numpy()


def prove(model: Model, prompts: Prompts, players: PlayerSet, ablation: Ablation) -> None:
    """Score a few masks on two prompts with both engines, and compare.

    The masks keep everything, nothing, and two random halves. The prompts are the shortest and one of
    median length, so that the check costs little compared with a run. The fast engine scores them twice: all
    prompts under each mask, and single pairs of mask and prompt.

    Raises:
        InputError: the engines differ by more than `TOLERANCE` allows; the message names mask and example.
    """
    masks = np.random.default_rng(0).random((4, players.n)) < 0.5
    masks[0], masks[1] = True, False
    masks = masks[unique(masks)[0]]
    by_length = _by_length(prompts)
    rows = by_length[sorted({0, len(by_length) // 2})]
    few = _some(prompts, rows)
    fast = FastEngine(model, few, players, ablation)
    reference = ReferenceEngine(model, few, players, ablation).scores(masks)
    for scores in (fast.scores(masks), _by_pairs(fast, masks, len(rows))):
        at = disagreement(scores, reference, model.dtype)
        if at is not None:
            break
    else:
        return
    gone = [name for name, kept in zip(players.names, masks[at[0]], strict=True) if not kept]
    raise InputError(
        f"the fast engine differs from the reference on example {_example(prompts, rows[at[1]])!r} "
        f"without {_listed(gone)}: it scores {scores[at]}, the reference {reference[at]}; pass "
        "engine='reference' to TaskGame, and please report the model's architecture and this message"
    )


def _by_pairs(
    engine: FastEngine, masks: Bool[np.ndarray, "m n"], rows: int
) -> Float32[np.ndarray, "m e ..."]:
    """Scores of every mask and row, one row at a time, so that pairs of different masks run together."""
    every = np.arange(len(masks))
    parts = [
        engine.pair_scores(masks, np.column_stack([every, np.full_like(every, row)]))
        for row in range(rows)
    ]
    return np.stack(parts, axis=1)


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


def _by_length(prompts: Prompts) -> npt.NDArray[np.int64]:
    return np.argsort([len(t) for t in prompts.tokens], kind="stable")


def _some(prompts: Prompts, rows: Sequence[int] | npt.NDArray[np.int64]) -> Prompts:
    """The prompts of some rows."""
    return dataclasses.replace(
        prompts,
        tokens=tuple(prompts.tokens[r] for r in rows),
        answers=None if prompts.answers is None else prompts.answers[rows],
        targets=None if prompts.targets is None else prompts.targets[rows],
        partners=None if prompts.partners is None else tuple(prompts.partners[r] for r in rows),
    )


def _example(prompts: Prompts, row: int) -> str:
    if prompts.options is None:
        return prompts.ids[row]
    return prompts.ids[int(np.argwhere(prompts.options == row)[0, 0])]


def _listed(names: list[str]) -> str:
    if len(names) <= 8:
        return " ".join(names) or "nothing"
    return f"{' '.join(names[:8])} and {len(names) - 8} more"
