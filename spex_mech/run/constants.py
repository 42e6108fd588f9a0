"""The constants of optimal ablation in a run's folder: fitted once, and read by every later step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Bool

from spex_mech.ablation.constant_fit import fit_constants, fit_hash
from spex_mech.ablation.constants import Constants
from spex_mech.ablation.game import TaskGame
from spex_mech.core.errors import InputError
from spex_mech.run.folder import CONSTANTS, RunFolder
from spex_mech.run.outline import Outline
from spex_mech.run.setup import Setup

_USUAL = (0.05, 0.95)  # quantiles of the shares that a design's masks keep


def with_constants(setup: Setup, folder: RunFolder) -> Setup:
    """The setup with the constants of its folder; they are fitted and written where they are not there.

    They are fitted for masks that keep as many players as the design's do. Other ablations have none, and
    their setups stay as they are.

    Raises:
        InputError: constants of another model, of other players or questions, or a damaged file.
    """
    if not setup.game.lacks_constants:
        return setup
    path = folder.path / CONSTANTS
    options: dict[str, Any] = {"keep_rates": fitted_rates(setup)}
    if path.is_file():
        constants = Constants.load(path)
        if constants.fitted.of != fit_hash(setup.game, **options):
            raise InputError(
                f"{path} was fitted for another model, other players, search questions or settings; remove "
                "it and evaluate into a new folder"
            )
    else:
        with folder.timed("constants"):
            constants = fit_constants(setup.game, **options)
        constants.save(path)
    return replace(setup, game=setup.game.with_constants(constants))


def fitted_rates(setup: Outline) -> tuple[float, float]:
    """The range of keep rates that constants are fitted for: that of the design's masks."""
    low, high = np.quantile(setup.design.masks.mean(axis=1), _USUAL)
    return float(low), float(high)


def set_constants(game: TaskGame, mask: Bool[np.ndarray, " n"], folder: RunFolder) -> Constants:
    """Constants fitted for one kept set, from the folder if they have been fitted before.

    Args:
        game: a game of the run; its search questions are used.
        mask: bool (n,), True = kept.
        folder: the run's folder; a fit has a file of its own there.
    """
    path = folder.path / f"constants-{fit_hash(game, mask)[:12]}.safetensors"
    if path.is_file():
        return Constants.load(path)
    with folder.timed("constants"):
        constants = fit_constants(game, mask)
    constants.save(path)
    return constants
