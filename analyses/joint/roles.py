"""Two-hop questions as one game: sentences by their role in the question, and heads of the model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

import spex_mech as sm
from spex_mech import features

ROLES = ("thing's sentence", "container's sentence", *(f"other {i}" for i in range(1, 7)))


class RolesGame:
    """Sentences in their roles × parts of a model, over several two-hop questions.

    Players are the sentence that says where the thing is, the one that says where its container is, the six
    others in the order of the text, and the model's parts. A question's value is the margin of its right
    answer. It can be asked some of its questions under each mask.

    Args:
        model: the model.
        questions: as `questions.two_hop` gives them.
        heads: the game of the model's parts.
    """

    def __init__(self, model: sm.Model, questions: Sequence[Any], heads: sm.TaskGame) -> None:
        self._games, self._columns = [], []
        for question in questions:
            text = features.text(
                model,
                question.passage,
                template=question.template,
                target=question.answers,
                removal=features.Removal("replace", replacements=question.replacements),
            )
            game = sm.joint(text, heads)
            count = text.players.n
            others = [i for i in range(count) if i not in question.hops]
            roles = np.array([*question.hops, *others])
            place = np.argsort(roles)  # column of sentence i among the roles
            self._columns.append(np.concatenate([place, np.arange(count, game.players.n)]))
            self._games.append(game)
        self.question_ids = tuple(question.name for question in questions)
        self.sides = (sm.PlayerSet.from_names(ROLES), heads.players)
        self.players = sm.PlayerSet((*self.sides[0].players, *heads.players.players))
        self.metric_name = "margin"

    @property
    def fingerprint(self) -> str:
        """Text that changes whenever an answer could."""
        keys = [game.key for game in self._games]
        return hashlib.sha256(json.dumps(keys, sort_keys=True).encode()).hexdigest()

    @property
    def batch(self) -> int:
        """Masks that are evaluated together."""
        return 64

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """Mean margins (m,) over the questions."""
        return self.values_from_scores(self.scores(masks))

    def scores(self, masks: np.ndarray) -> np.ndarray:
        """Margins (m, e)."""
        every = np.tile(np.arange(len(self._games)), (len(masks), 1))
        return self.asked_scores(masks, every)

    def values_from_scores(self, scores: np.ndarray) -> np.ndarray:
        """Means over the questions."""
        return scores.mean(axis=1).astype(np.float64)

    def asked_scores(self, masks: np.ndarray, questions: np.ndarray) -> np.ndarray:
        """Margins (m, q) of each mask on its own questions."""
        out = np.empty(questions.shape, dtype=np.float32)
        for number in np.unique(questions).tolist():
            rows, places = np.nonzero(questions == number)
            found = self._games[number](masks[rows][:, self._columns[number]])
            out[rows, places] = found
        return out

    def per_asked(self, scores: np.ndarray, questions: np.ndarray) -> np.ndarray:
        """The margins as they are."""
        del questions
        return scores.astype(np.float64)

    def asking_cost(self) -> tuple[float, float]:
        """A mask costs nothing beside its questions."""
        return 0.0, 100.0
