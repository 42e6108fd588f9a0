"""`as_game`: any callable from masks to values as the `Game` that evaluation works with."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64

from spex_mech.core.games import (
    AnyGame,
    AsksQuestions,
    Game,
    Masks,
    ScoredValueFunction,
    SentWhole,
)
from spex_mech.core.players import PlayerSet
from spex_mech.evaluation.identity import identity_of

_BATCH = 64


def as_game(game: AnyGame) -> Game:
    """A `Game` as it is; any other callable from bool masks (m, n) to values (m,), adapted.

    Nothing else looks for what such a callable may have beside: ``players``; ``key`` (a dict of texts) or
    ``fingerprint``, which guard stores (without them, its code and variables do, see `identity_of`);
    ``batch``; ``scores`` and ``values_from_scores``, if it is a `ScoredValueFunction`, and with these what
    `AsksQuestions` has; and for a store's readers ``split`` and the names of its ``model``, ``task``,
    ``metric`` and ``ablation``.
    """
    if isinstance(game, Game):
        return game
    if not isinstance(game, ScoredValueFunction):
        return _Adapted(game)
    return _AdaptedAsked(game) if isinstance(game, AsksQuestions) else _AdaptedScored(game)


class _Adapted(SentWhole):
    def __init__(self, game: Any) -> None:
        self.game = game
        # Once: what a function reads may change while it is evaluated.
        self._identity = {} if self._declared is not None else identity_of(game)

    @property
    def players(self) -> PlayerSet | None:
        return getattr(self.game, "players", None)

    @property
    def key(self) -> dict[str, str]:
        return self._identity if self._declared is None else self._declared

    @property
    def _declared(self) -> dict[str, str] | None:
        """What the game itself says of its answers."""
        key = getattr(self.game, "key", None)
        if isinstance(key, dict):
            return key
        fingerprint = getattr(self.game, "fingerprint", None)
        return None if fingerprint is None else {"fingerprint": str(fingerprint)}

    @property
    def batch(self) -> int:
        batch = getattr(self.game, "batch", None)
        if isinstance(batch, int) and not isinstance(batch, bool) and batch > 0:
            return batch
        return _BATCH

    def __call__(self, masks: Masks, /) -> Float64[np.ndarray, " m"]:
        return self.game(masks)

    def describe(self) -> dict[str, Any]:
        named: dict[str, Any] = {}
        for part in ("model", "task", "metric", "ablation"):
            name = getattr(getattr(self.game, part, None), "name", None)
            if isinstance(name, str):
                named[part] = name
        split = getattr(self.game, "split", None)
        return named if split is None else {**named, "split": split}


class _AdaptedScored(_Adapted):
    def scores(self, masks: Masks, /) -> Float32[np.ndarray, "m e ..."]:
        return self.game.scores(masks)

    def values_from_scores(
        self, scores: Float32[np.ndarray, "m e ..."], /
    ) -> Float64[np.ndarray, " m"]:
        return self.game.values_from_scores(scores)


class _AdaptedAsked(_AdaptedScored):
    @property
    def question_ids(self) -> tuple[str, ...]:
        return self.game.question_ids

    def asked_scores(
        self, masks: Masks, questions: Int64[np.ndarray, "m q"], /
    ) -> Float32[np.ndarray, "m q ..."]:
        return self.game.asked_scores(masks, questions)

    def per_asked(
        self, scores: Float32[np.ndarray, "m q ..."], questions: Int64[np.ndarray, "m q"], /
    ) -> Float64[np.ndarray, "m q"]:
        return self.game.per_asked(scores, questions)

    def asking_cost(self) -> tuple[float, float]:
        return self.game.asking_cost()
