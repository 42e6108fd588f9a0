"""Games that remember their answers, and games that count them and stop at a budget."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64

from spex_mech.core.errors import InputError
from spex_mech.core.games import ValueFunction
from spex_mech.core.masks import check_masks, pack, unique
from spex_mech.core.players import PlayerSet


class Remembered:
    """A game that evaluates no mask twice, for as long as it lives.

    Args:
        game: the game.
    """

    def __init__(self, game: ValueFunction) -> None:
        self.game = game
        self._known: dict[bytes, float] = {}

    @property
    def players(self) -> PlayerSet:
        """The game's players."""
        return self.game.players

    @property
    def fingerprint(self) -> str:
        """The game's fingerprint."""
        return self.game.fingerprint

    def __call__(self, masks: npt.ArrayLike) -> Float64[np.ndarray, " m"]:
        """Values of masks (m, n), True = present; those asked before are not evaluated again."""
        masks = check_masks(masks, self.players.n)
        first, _ = unique(masks)
        keys = [row.tobytes() for row in pack(masks)]
        new = [i for i in first.tolist() if keys[i] not in self._known]
        if new:
            values = np.asarray(self.game(masks[new]), dtype=np.float64)
            self._known.update(zip((keys[i] for i in new), values.tolist(), strict=True))
        return np.array([self._known[key] for key in keys], dtype=np.float64)


class Metered:
    """A game that counts the different masks it is asked for, and refuses those beyond a budget.

    A mask asked twice is counted once: whoever asks could have remembered it. Whether the game itself
    had evaluated it for somebody else does not matter.

    Args:
        game: the game.
        budget: how many different masks may be asked for.

    Attributes:
        game: the game.
        budget: see above.
        spent: how many have been.

    Raises:
        InputError: a negative budget.
    """

    def __init__(self, game: ValueFunction, budget: int) -> None:
        if budget < 0:
            raise InputError(f"the budget is {budget} ablations, expected 0 or more")
        self.game, self.budget, self.spent = game, budget, 0
        self._asked: set[bytes] = set()

    @property
    def players(self) -> PlayerSet:
        """The game's players."""
        return self.game.players

    @property
    def fingerprint(self) -> str:
        """The game's fingerprint."""
        return self.game.fingerprint

    @property
    def left(self) -> int:
        """Ablations that may still be spent."""
        return self.budget - self.spent

    def __call__(self, masks: npt.ArrayLike) -> Float64[np.ndarray, " m"]:
        """Values of masks (m, n), True = present.

        Raises:
            InputError: more new masks than the budget has left; none is evaluated then.
        """
        masks = check_masks(masks, self.players.n)
        new = {row.tobytes() for row in pack(masks)} - self._asked
        self.spend(len(new))
        self._asked |= new
        return np.asarray(self.game(masks), dtype=np.float64)

    def spend(self, ablations: int) -> None:
        """Count work that is no mask, such as a pass through the full model, in ablations.

        Raises:
            InputError: more than the budget has left.
        """
        if ablations > self.left:
            raise InputError(
                f"{ablations} ablations were asked for when {self.spent} of the budget of "
                f"{self.budget} were spent; raise the budget"
            )
        self.spent += ablations
