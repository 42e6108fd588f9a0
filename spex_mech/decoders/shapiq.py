"""Our decoders as an approximator of the package shapiq, for its explainers, games and plots."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool

from spex_mech.core.errors import InputError
from spex_mech.core.interactions import interactions
from spex_mech.core.seeds import check_seed
from spex_mech.core.shapiq import import_shapiq
from spex_mech.core.transform import MAX_PLAYERS
from spex_mech.decoders.decode import decode
from spex_mech.designs import MaskDesign, exhaustive, leverage, uniform

if TYPE_CHECKING:
    import shapiq  # pyright: ignore[reportMissingImports]
    from shapiq.approximator.base import Approximator  # pyright: ignore[reportMissingImports]

INDICES: Mapping[str, str] = {
    "SV": "Shapley",
    "BV": "Banzhaf",
    "SII": "SII",
    "k-SII": "SII",
    "STII": "STII",
    "FSII": "FSII",
    "BII": "BII",
    "FBII": "FBII",
    "Moebius": "Moebius",
}
"""shapiq's names of the indices that an approximator knows, and the library's."""
_SINGLES = ("SV", "BV")
_HALF = ("BV", "BII", "FBII")  # indices that weigh all coalitions alike
_FEWEST = 2  # the coalitions of nobody and of all players


def shapiq_approximator(
    n: int,
    max_order: int = 2,
    index: str = "k-SII",
    *,
    random_state: int | None = None,
    method: str = "auto",
) -> Approximator:
    """An ``Approximator`` of shapiq that evaluates masks of ours, decodes them, and reads an index off.

    Its ``approximate(budget, game)`` evaluates exactly ``budget`` distinct coalitions (all 2^n where that is
    less) in one call of ``game``, which is a ``shapiq.Game``, an imputer, or any function from a bool array
    (budget, n), True = present, to values (budget,). The coalitions of nobody and of all players are among
    them. The others are drawn by `designs.leverage`, and for ``BV``, ``BII`` and ``FBII`` by
    `designs.uniform`. It returns ``InteractionValues`` of the index of the decoder's full model, corrected by
    what was evaluated: all sets of up to ``max_order`` players, or the 5,000 strongest of each size.

        >>> import spex_mech as sm
        >>> approximator = sm.shapiq_approximator(8, 2, "SII", random_state=0, method="lasso")
        >>> def game(coalitions):
        ...     return 1.0 * coalitions[:, 1] + 2.0 * (coalitions[:, 3] & coalitions[:, 7])
        >>> values = approximator.approximate(budget=60, game=game)
        >>> print(f"{values[(1,)]:.1f} {values[(3,)]:.1f} {values[(3, 7)]:.1f}")
        1.0 1.0 2.0

    ``shapiq.TabularExplainer(..., approximator=approximator)`` takes it too.

    Args:
        n: number of players.
        max_order: largest number of players of a set; 1 for ``SV`` and ``BV``.
        index: ``SV``, ``BV``, ``SII``, ``k-SII``, ``STII``, ``FSII``, ``BII``, ``FBII`` or ``Moebius``.
        random_state: seed of masks and decoder, the same for every call; None draws another for each call.
        method: the decoder, see `decode`.

    Raises:
        InputError: an index, an order or a number of players that it cannot use, or shapiq is not installed;
            by ``approximate``, a budget below 2, a game of another number of players, or values that are
            not one finite number for each coalition.
    """
    _check(n, max_order, index, random_state)
    return _approximator_class()(n, max_order, index, random_state=random_state, method=method)


@cache
def _approximator_class() -> Any:
    """The class, which is a subclass of shapiq's, so that shapiq's explainers know it."""
    peer = import_shapiq()

    class SpexMechApproximator(peer.approximator.base.Approximator):
        """Approximates an interaction index by spex_mech's decoders."""

        valid_indices = tuple(INDICES)

        def __init__(
            self, n: int, max_order: int, index: str, *, random_state: int | None, method: str
        ) -> None:
            super().__init__(n, max_order, index, random_state=random_state, initialize_dict=False)
            self.method = method

        def approximate(self, budget: int, game: Any, **_: Any) -> shapiq.InteractionValues:
            seed = self._random_state
            if seed is None:
                seed = int(np.random.default_rng().integers(1 << 31))
            design = _design(self.n, budget, self.index, seed)
            values = _values(game, design.masks)
            spectrum = decode(design, values, method=self.method, seed=seed)
            found = interactions(spectrum, INDICES[self.index], self.max_order)
            baseline = float(values[~design.masks.any(axis=1)][0])
            if self.index == "FBII":  # the only one whose value of nobody is not the game's
                baseline = found.baseline
            table = {**found.values, (): baseline}
            return peer.InteractionValues(
                values=np.array(list(table.values())),
                interaction_lookup={players: k for k, players in enumerate(table)},
                index=self.approximation_index if self.index == "k-SII" else self.index,
                target_index=self.index,
                min_order=0,
                max_order=self.max_order,
                n_players=self.n,
                estimated=len(design) < 2.0**self.n,
                estimation_budget=len(design),
                baseline_value=baseline,
            )

    return SpexMechApproximator


def _check(n: int, max_order: int, index: str, random_state: int | None) -> None:
    if index not in INDICES:
        raise InputError(f"index is {index!r}, expected one of {', '.join(INDICES)}")
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise InputError(f"n is {n!r}, expected a number of players, at least 1")
    most = 1 if index in _SINGLES else n
    if not isinstance(max_order, (int, np.integer)) or not 1 <= max_order <= most:
        of = "single players" if index in _SINGLES else f"{n} players"
        raise InputError(f"max_order is {max_order!r}, expected 1 to {most} for {index} of {of}")
    if random_state is not None:
        check_seed(random_state)


def _design(n: int, budget: int, index: str, seed: int) -> MaskDesign:
    """Distinct masks for an index, those of nobody and of all players among them."""
    if budget < _FEWEST:
        raise InputError(
            f"budget is {budget}, expected at least 2: the coalitions of nobody and of all players"
        )
    if n <= MAX_PLAYERS and budget >= 1 << n:
        return exhaustive(n)
    if index not in _HALF:
        return leverage(n, budget, seed=seed)
    return uniform(n, budget, ends=True, seed=seed)


def _values(
    game: Callable[[npt.NDArray[np.bool_]], npt.ArrayLike], masks: Bool[np.ndarray, "m n"]
) -> npt.NDArray[np.float64]:
    """A game's values (m,) of masks, with the players' number checked."""
    players = getattr(game, "n_players", masks.shape[1])
    if players != masks.shape[1]:
        raise InputError(
            f"the game has {players} players, the approximator {masks.shape[1]}; make it with n={players}"
        )
    values = np.asarray(game(masks.copy()), dtype=np.float64)
    if values.size != len(masks):
        raise InputError(
            f"the game gave values of shape {values.shape} for {len(masks)} coalitions, expected one "
            "number for each"
        )
    return values.reshape(-1)
