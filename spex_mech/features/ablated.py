"""A text with parts missing, read by a model with parts missing: the value of two games together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from spex_mech.ablation.game import TaskGame
from spex_mech.core.errors import InputError, NonFiniteScoreError
from spex_mech.core.players import PlayerSet
from spex_mech.features.game import FeatureGame, choose
from spex_mech.features.tokens import TokenLayout, TokenRow
from spex_mech.tasks.prompts import Prompts

_DIFFERENCES = ("margin", "probability")  # of several answers: what all share falls out


class AblatedReading:
    """Values of pairs of masks: the one says which parts of a text are left, the other which of its reader.

    Args:
        text: the text's game.
        layout: the text's tokens.
        answers: token ids of the answers that its causal model is asked about.
        model: the game of the model's parts.

    Raises:
        InputError: another model, an ablation other than zero, or a value that is not read off the answers'
            probabilities.
    """

    def __init__(
        self,
        text: FeatureGame,
        layout: TokenLayout,
        answers: Sequence[Sequence[int]],
        model: TaskGame,
    ) -> None:
        if text.reading.name == "similarity":
            raise InputError(
                "value='similarity' compares with the whole text's answer under the whole model, which a "
                "joint game does not know; choose margin, probability, logprob or logodds"
            )
        if model.ablation.name != "zero":
            raise InputError(
                f"the model's parts are removed by {model.ablation.name!r} ablation, which fills them from "
                "the game's own questions; a joint game reads other prompts, so use ablation='zero'"
            )
        weights = text.key["weights"], text.key["dtype"]
        if weights != (model.key["weights"], model.key["dtype"]):
            raise InputError(
                "the text is read by another model than the one whose parts are players; make both games of "
                "one loaded model"
            )
        self._text, self._model = text, model
        self._layout, self._answers = layout, answers
        single = all(len(answer) == 1 for answer in self._answers)
        several = len(self._answers) > 1 and text.reading.name in _DIFFERENCES
        self._by_logits = single and several

    @property
    def sides(self) -> tuple[tuple[PlayerSet, ...], tuple[PlayerSet, ...]]:
        """See `PairValue`."""
        return (self._text.players,), (self._model.players,)

    @property
    def key(self) -> dict[str, str]:
        """See `PairValue`."""
        parts = {name: self._model.key[name] for name in ("ablation", "rescale", "players")}
        return {**self._text.key, **{f"model's {name}": text for name, text in parts.items()}}

    @property
    def batch(self) -> int:
        """See `PairValue`."""
        return self._text.batch

    def __call__(
        self, own: Bool[np.ndarray, "m n"], others: Bool[np.ndarray, "m h"], /
    ) -> Float64[np.ndarray, " m"]:
        """See `PairValue`.

        Raises:
            NonFiniteScoreError: a value that is NaN or infinite.
        """
        if not len(own):
            return np.zeros(0)
        choices = choose(own, self._layout.counts, self._text.seed)
        rows = self._layout.rows(choices)
        if self._by_logits:
            outputs = self._model.scores_of(others, self._with_answers(rows)).astype(np.float64)
        else:
            each = len(self._answers)
            prompts = self._with_continuations(rows)
            outputs = self._model.scores_of(np.repeat(others, each, axis=0), prompts)
            outputs = outputs.astype(np.float64).reshape(len(rows), each)
        values = self._text.reading(outputs)
        if not np.isfinite(values).all():
            row = int(np.flatnonzero(~np.isfinite(values))[0])
            raise NonFiniteScoreError(
                f"mask {row} of the joint game scores {values[row]}; load the model in float32, or choose "
                "another value"
            )
        return values

    def _with_answers(self, rows: list[TokenRow]) -> Prompts:
        """Each row with the logits of the answers at its end: they differ as the log-probabilities do."""
        answers = np.array([[answer[0] for answer in self._answers]] * len(rows), dtype=np.int64)
        return Prompts(_ids(rows), _tokens(rows), answers, np.zeros(len(rows), dtype=np.int64))

    def _with_continuations(self, rows: list[TokenRow]) -> Prompts:
        """Each row followed by each answer, whose tokens' log-probabilities are summed."""
        longer = [np.concatenate([row, answer]) for row in rows for answer in self._answers]
        counts = np.array([len(answer) for _ in rows for answer in self._answers], dtype=np.int64)
        right = np.zeros(len(longer), dtype=np.int64)
        return Prompts(_ids(longer), _tokens(longer), None, right, targets=counts)


def _ids(rows: list[Any]) -> tuple[str, ...]:
    return tuple(f"text {i}" for i in range(len(rows)))


def _tokens(rows: list[Any]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(i) for i in row) for row in rows)
