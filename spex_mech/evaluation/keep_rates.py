"""`find_keep_rates`: evaluate a pilot, and draw the rest of a design where values move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from spex_mech.core.errors import InputError
from spex_mech.core.games import AnyGame
from spex_mech.designs import MaskDesign
from spex_mech.designs.pilot import keep_range, pilot, piloted
from spex_mech.evaluation.evaluate import evaluate
from spex_mech.evaluation.evaluated import Run
from spex_mech.evaluation.games import as_game


@dataclass(frozen=True, eq=False)
class KeepRates:
    """Keep rates at which a game's values move, and the design that uses them.

    Attributes:
        low, high: every mask draws its keep rate from this range.
        design: the whole budget: the pilot's masks first, and then masks at these keep rates.
        run: the evaluated pilot; None where the budget was too small for one.
    """

    low: float
    high: float
    design: MaskDesign
    run: Run | None

    @property
    def message(self) -> str:
        """One sentence on what was seen."""
        return message_of(self.low, self.high, None if self.run is None else len(self.run.design))


def message_of(low: float, high: float, masks: int | None) -> str:
    """What a pilot of so many masks has shown; None for no pilot."""
    between = f"keep rates are drawn from {low:.2f} to {high:.2f}"
    if masks is None:
        return f"{between}, the usual range: a budget below 80 masks has no pilot to find it"
    return (
        f"{between}: between these a pilot of {masks} masks saw values move from those of no players to "
        "those of all"
    )


def find_keep_rates(
    game: AnyGame, budget: int, *, n: int | None = None, seed: int = 0, **options: Any
) -> KeepRates:
    """Evaluate a pilot of a twentieth of the budget, and find the keep rates at which values move.

    The pilot's masks are the first ones of the design that is returned, so nothing of it is lost: pass
    the same ``store`` (or ``known=rates.run``) when the design is evaluated. A budget below 80 masks has no
    pilot, and gets a range that is usual for transformers.

    Args:
        game: a `ValueFunction`, or any callable from bool masks (m, n) to values (m,).
        budget: number of masks, those of the pilot included.
        n: number of players, for a callable without ``players``.
        seed: seed of the masks.
        options: as for `evaluate`: ``store``, ``known``, ``executor``, ``batch``, ``spec``, ``progress``.

    Raises:
        InputError: an unknown number of players, or as for `designs.biased` and `evaluate`.
    """
    game = as_game(game)
    count = n if game.players is None else game.players.n
    if count is None:
        raise InputError(
            "the game does not say how many players it has; give find_keep_rates(..., n=...)"
        )
    first = pilot(count, budget, seed=seed)
    run = None if first is None else evaluate(game, first, **{"label": "pilot", **options})
    low, high = keep_range(
        None if run is None else run.masks, None if run is None else run.values, count
    )
    return KeepRates(low, high, piloted(first, (low, high), count, budget, seed=seed), run)
