"""`joint`: a game whose players are of several kinds, such as words of a prompt and heads of a model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64

from spex_mech.core.errors import InputError
from spex_mech.core.games import Masks, SentWhole, Values
from spex_mech.core.interactions import Interactions
from spex_mech.core.masks import check_masks
from spex_mech.core.players import PlayerSet


class PairValue(Protocol):
    """What two games are worth together: a value of a mask of each."""

    @property
    def sides(self) -> tuple[tuple[PlayerSet, ...], tuple[PlayerSet, ...]]:
        """The players of the one game and of the other, each by their kinds."""
        ...

    @property
    def key(self) -> Mapping[str, str]:
        """Everything that decides the values, field by field."""
        ...

    @property
    def batch(self) -> int:
        """How many pairs of masks are evaluated together."""
        ...

    def __call__(self, own: Masks, others: Masks, /) -> Values:
        """Values (m,) of mask j of the one game, (m, n), together with mask j of the other, (m, n')."""
        ...


@runtime_checkable
class JoinsGames(Protocol):
    """A game that can be played together with some other games."""

    def joined_with(self, other: Any, /) -> PairValue | None:
        """The value of both games' masks together; None where the two do not go together.

        Raises:
            InputError: a game of a kind that goes together with this one, but not this one of that kind.
        """
        ...


def joint(game_a: Any, game_b: Any) -> JointGame:
    """A game whose players are those of two games: which of the one matter because of which of the other.

    Known are, in either order,

    - a text in parts (`features.text` with a causal model and answers) together with parts of the same
      model (`TaskGame`). Then a mask says which words are left in the prompt and which heads are left in
      the model that reads it. The value is the text's, such as the margin of the right answer; of the
      `TaskGame` only the model, the players and the zero ablation with or without rescaling are used,
      neither its questions nor its metric.
    - models trained on parts of their training data (`training_data.TrainedModels`) together with a
      function that makes a game of a model: of its words, of its heads, or of both. Then a mask also says
      what the model was trained on. Where the function's game has ``sides``, as joint games have, these
      kinds of players stay apart, and the joint game is of three kinds.

    >>> words = sm.features.text(model, passage, level="word", target=[" A", " B"], template="{text} Answer:")
    >>> heads = sm.TaskGame(model, task, sm.select_players(model, "heads"))
    >>> game = sm.joint(words, heads)
    >>> spectrum = sm.explain(game, budget=2000, keep_rate="auto").spectrum
    >>> game.cross_pairs(sm.interactions(spectrum))     # words × heads

    Args:
        game_a: the game whose players come first; or trained models, or a function from a model to a game.
        game_b: the other one.

    Returns:
        A game on masks (m, n_a + n_b).

    Raises:
        InputError: games that do not go together, of different models, or with a player of the same name.
    """
    for own, other, swapped in ((game_a, game_b, False), (game_b, game_a, True)):
        if not isinstance(own, JoinsGames):
            continue
        if (value := own.joined_with(other)) is not None:
            return JointGame(value, swapped=swapped)
    names = " and ".join(type(game).__name__ for game in (game_a, game_b))
    raise InputError(
        f"games {names} cannot be joined; expected a text's game (features.text with a causal model and "
        "answers) and a TaskGame of the same model, or TrainedModels and a function from a model to a game"
    )


class JointGame(SentWhole):
    """Two games' players in one game; made by `joint`. ``game(masks)`` -> float64 (m,).

    Args:
        value: what masks of both games are worth.
        swapped: whether ``value`` takes the second game's masks first.

    Attributes:
        sides: the players by kinds, those of the first game first: two kinds, or three where one of the
            games is itself a joint one.
        players: all of them, in this order.

    Raises:
        InputError: a player of the same name in both games.
    """

    def __init__(self, value: PairValue, *, swapped: bool = False) -> None:
        self._value, self._swapped = value, swapped
        first, second = reversed(value.sides) if swapped else value.sides
        self.sides: tuple[PlayerSet, ...] = (*first, *second)
        self.players = PlayerSet(tuple(player for side in self.sides for player in side))
        self._first = sum(side.n for side in first)

    @property
    def key(self) -> dict[str, str]:
        """Everything that decides the values, field by field."""
        order = " | ".join(self.players.names)
        return {**self._value.key, "joint players": order}

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the key, as hexadecimal text."""
        return hashlib.sha256(json.dumps(self.key, sort_keys=True).encode()).hexdigest()

    @property
    def batch(self) -> int:
        """Masks that are evaluated together."""
        return self._value.batch

    def __call__(self, masks: npt.ArrayLike) -> Float64[np.ndarray, " m"]:
        """Values (m,) of masks (m, n), True = present.

        Raises:
            InputError: masks that are not bool or of another width; else as the games.
            NonFiniteScoreError: a value that is NaN or infinite.
        """
        checked = check_masks(masks, self.players.n)
        first, second = np.split(checked, [self._first], axis=1)
        return self._value(second, first) if self._swapped else self._value(first, second)

    def cross_pairs(
        self, interactions: Interactions, sides: tuple[int, int] = (0, 1)
    ) -> Float64[np.ndarray, "a b"]:
        """The interactions of one player of a kind with one of another, as a table.

        Args:
            interactions: of this game's spectrum, in any index with pairs.
            sides: which two of ``self.sides`` are the rows and the columns.

        Returns:
            float64 (n_a, n_b); pairs that are not among the interactions have 0.

        Raises:
            InputError: interactions of another number of players, or sides that are not two of this game's.
        """
        if interactions.n != self.players.n:
            raise InputError(
                f"the interactions are of {interactions.n} players, this game has {self.players.n}; read "
                "them off a spectrum of this game"
            )
        rows, columns = self._columns(sides)
        table = np.zeros((len(rows), len(columns)))
        for members, value in interactions.values.items():
            for a, b in (members, members[::-1]) if len(members) == 2 else ():
                if a in rows and b in columns:
                    table[a - rows.start, b - columns.start] = value
        return table

    def _columns(self, sides: tuple[int, int]) -> tuple[range, range]:
        """Where the players of two sides stand in a mask."""
        known = range(len(self.sides))
        if len(sides) != 2 or sides[0] == sides[1] or not all(side in known for side in sides):
            raise InputError(
                f"sides is {sides}, expected two different numbers from 0 to {len(self.sides) - 1}: this "
                f"game's kinds of players are {self!r}"
            )
        ends = np.cumsum([0, *(side.n for side in self.sides)]).tolist()
        rows, columns = (range(ends[side], ends[side + 1]) for side in sides)
        return rows, columns

    def __repr__(self) -> str:
        return f"JointGame({' + '.join(str(side.n) for side in self.sides)} players)"
