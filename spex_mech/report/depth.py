"""What every run's spectrum says about depth and hierarchy, from its terms alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spex_mech.core.energy import LayerEnergy, energy_by_layers, energy_by_order
from spex_mech.core.errors import InputError
from spex_mech.core.hierarchy import Hierarchy, hierarchy
from spex_mech.report.contents import Contents

_TERMS = 50
_MOST_SUBSETS = 2.0**22  # of all terms; a few seconds


@dataclass(frozen=True, eq=False)
class Depth:
    """How a run's spectrum is spread over orders and layers, and how hierarchical it is.

    Attributes:
        keep_rate: the keep rate at which energies were taken: the mean one of the masks, or 1/2 where the
            terms have too many subsets for another one.
        orders: share of the energy by number of players.
        layers: the energy of interactions by pairs of layers; None without interactions, or where the
            players have no layers or all have the same.
        hierarchy: of the 50 largest terms; None where no interaction is among them.
        missed: share of the decoder's whole model that its terms miss; None where it is not known.
    """

    keep_rate: float
    orders: Mapping[int, float]
    layers: LayerEnergy | None
    hierarchy: Hierarchy | None
    missed: float | None


def depth_of(contents: Contents) -> Depth | None:
    """The depth of a run's spectrum; None for a run without one, one that is constant, or rates of 0 or 1."""
    spectrum, players = contents.spectrum, contents.players
    if spectrum is None:
        return None
    design = contents.folder.spec.design
    rate = 0.5
    if contents.pilot is not None:
        rate = (contents.pilot.low + contents.pilot.high) / 2
    elif design.kind == "biased" and not isinstance(design.keep_rate, str):
        rate = float(np.mean(design.keep_rate))
    if np.sum(2.0**spectrum.degrees) > _MOST_SUBSETS:
        rate = 0.5
    try:
        orders = energy_by_order(spectrum, rate)
        layered = {p.layer for p in players}
        several = None not in layered and len(layered) > 1
        layers = energy_by_layers(spectrum, players, rate) if several else None
    except InputError:  # a rate of 0 or 1
        return None
    if not orders:
        return None
    missed = spectrum.info.get("readout_loss")
    return Depth(rate, orders, layers, hierarchy(spectrum, _TERMS), missed)
