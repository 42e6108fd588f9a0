"""Our games in shapiq's approximators, and shapiq's games in our decoders."""

from __future__ import annotations

import hashlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Float64

from spex_mech.core.errors import InputError
from spex_mech.core.games import ValueFunction
from spex_mech.core.masks import check_masks
from spex_mech.core.players import PlayerSet

if TYPE_CHECKING:
    import shapiq  # pyright: ignore[reportMissingImports]


def to_shapiq(game: ValueFunction) -> shapiq.Game:
    """A game as a ``shapiq.Game``, for its approximators, ``exact_values`` and ``precompute``.

    Values are counted from the empty coalition's (shapiq's normalisation), which is evaluated now; the
    players' names are shapiq's player names.

    Args:
        game: any `ValueFunction`: of features, of a model's parts, or your own.

    Raises:
        InputError: shapiq is not installed.
    """
    peer = import_shapiq()
    n = game.players.n
    empty = float(game(np.zeros((1, n), dtype=bool))[0])

    class Adapted(peer.Game):
        def value_function(self, coalitions: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
            return np.asarray(game(np.asarray(coalitions, dtype=bool)), dtype=np.float64)

    return Adapted(
        n, normalize=True, normalization_value=empty, player_names=list(game.players.names)
    )


class ShapiqGame:
    """A ``shapiq.Game`` as a `ValueFunction`: ``sm.evaluate``, ``sm.decode`` and all else apply.

    Args:
        game: the game; its values are taken as it gives them, normalised or not.
        fingerprint: text that changes when the game's values do, to guard a store; by default its class,
            size and values of 16 coalitions.

    Raises:
        InputError: something that is not a shapiq game.
    """

    def __init__(self, game: Any, *, fingerprint: str | None = None) -> None:
        n = getattr(game, "n_players", None)
        if not isinstance(n, (int, np.integer)) or not callable(game):
            raise InputError(
                f"{game!r} is not a shapiq Game; expected one with n_players and values"
            )
        self._game, self._n = game, int(n)
        lookup = getattr(game, "player_name_lookup", None) or {}
        names = sorted(lookup, key=lambda name: lookup[name])
        if len(names) != self._n:
            names = [f"player {i}" for i in range(self._n)]
        self._players = PlayerSet.from_names(names)
        self._fingerprint = fingerprint

    @property
    def players(self) -> PlayerSet:
        """The ordered players, by shapiq's names where the game has some."""
        return self._players

    @property
    def fingerprint(self) -> str:
        """Text that changes when the game's values do."""
        if self._fingerprint is None:
            probe = np.random.default_rng(0).random((16, self._n)) < 0.5
            values = np.round(self(probe), 9).tobytes()
            facts = f"{type(self._game).__module__}.{type(self._game).__qualname__} {self._n} "
            self._fingerprint = facts + hashlib.sha256(values).hexdigest()
        return self._fingerprint

    def __call__(self, masks: npt.ArrayLike) -> Float64[np.ndarray, " m"]:
        """Values (m,) of masks (m, n), True = present.

        Raises:
            InputError: masks that are not bool or not n wide.
        """
        values = self._game(check_masks(masks, self._n))
        return np.asarray(values, dtype=np.float64).reshape(-1)


def from_shapiq(game: Any, *, fingerprint: str | None = None) -> ShapiqGame:
    """A ``shapiq.Game`` (or any of its benchmarks) as a value function; see `ShapiqGame`."""
    return ShapiqGame(game, fingerprint=fingerprint)


def import_shapiq() -> ModuleType:
    """The package shapiq, which is an extra.

    Raises:
        InputError: it is not installed.
    """
    try:
        import shapiq  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError(
            "to_shapiq needs the package shapiq, which is not installed; "
            "install it with pip install 'spex_mech[peers]'"
        ) from error
    return shapiq
