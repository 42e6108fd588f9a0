"""Mask designs: which coalitions to evaluate. A design's cost, ``len(design)``, is known beforehand.

In: a number of players, a budget and a seed. Out: a `MaskDesign` (design): masks (m, n), and the structure
that a decoder may need. Which design suits which purpose:

- `biased` for pruning, with keep rates at which values move (`find_keep_rates` finds them by a `pilot`),
- `uniform` for the spectrum as a whole,
- `leverage` for Shapley values and interactions,
- `stratified` for sizes drawn in the proportions of the Shapley kernel,
- `paired` for each mask together with its complement,
- `spex` for many players with few interactions,
- `crossed` for two kinds of players, where masks of the one kind cost much,
- `exhaustive` for up to 24 players.

    >>> from spex_mech import designs
    >>> len(designs.biased(32, 240, keep_rate=(0.3, 0.9), seed=0))
    240

A new design is a file here with a function ``(n, budget, *, seed) -> MaskDesign``, and a line in
``DESIGNS`` below: a run's spec then knows it by that name.
"""

from collections.abc import Callable, Mapping

from spex_mech.designs.biased import biased
from spex_mech.designs.crossed import crossed
from spex_mech.designs.design import MaskDesign
from spex_mech.designs.exhaustive import exhaustive
from spex_mech.designs.leverage import leverage
from spex_mech.designs.paired import paired
from spex_mech.designs.spex import spex
from spex_mech.designs.stratified import stratified
from spex_mech.designs.uniform import uniform

__all__ = [
    "DESIGNS",
    "MaskDesign",
    "biased",
    "crossed",
    "exhaustive",
    "leverage",
    "paired",
    "spex",
    "stratified",
    "uniform",
]

DESIGNS: Mapping[str, Callable[..., MaskDesign]] = {
    "biased": biased,
    "uniform": uniform,
    "leverage": leverage,
    "paired": paired,
    "stratified": stratified,
    "spex": spex,
}
"""Designs by their name in a run's spec: functions (n, budget, *, seed) -> `MaskDesign`.

``biased`` also takes ``keep_rate``.
"""
