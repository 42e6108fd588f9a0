"""The model game: a model, a task and players become values of masks.

In: a `Model`, a task, a `PlayerSet`, and how removed parts are replaced: zero, mean, resample (another
question's value), counterfactual (the value on the question's corrupted partner) or optimal (constants that
lose least, see `constant_fit`). Out: `TaskGame` (game), which answers masks (m, n) with values (m,) and with
the scores of every question. Two engines give the same numbers: `ReferenceEngine` (reference) is
TransformerLens hooks and defines them; the package `fast` computes them with far fewer operations. Before a
game's first answer the engine is compared with Hugging Face's own code, and the fast one with the reference
(proof).

    >>> import spex_mech as sm
    >>> model = sm.load_model("embedded")
    >>> task, players = sm.load_task("embedded/people").first(4), sm.select_players(model, "heads")
    >>> game = sm.TaskGame(model, task, players)
    >>> game(sm.designs.uniform(32, 3, seed=0).masks).shape
    (3,)

A new kind of ablation is a file here with a class that has the method ``batch`` of `Filler` (fills), and
a line in ``ABLATIONS`` below: `TaskGame` and a run's spec then know it by that name.
"""

from collections.abc import Callable, Mapping

from spex_mech.ablation.constants import Constants, optimal
from spex_mech.ablation.fast.engine import FastEngine, obstacle
from spex_mech.ablation.fills import Ablation, counterfactual, mean, resample, zero
from spex_mech.ablation.gates import Gates, spread
from spex_mech.ablation.proof import ProvenEngine, hold, prove
from spex_mech.ablation.reference import ReferenceEngine

__all__ = [
    "ABLATIONS",
    "Ablation",
    "Constants",
    "FastEngine",
    "Gates",
    "ProvenEngine",
    "ReferenceEngine",
    "counterfactual",
    "hold",
    "mean",
    "obstacle",
    "optimal",
    "prove",
    "resample",
    "spread",
    "zero",
]

ABLATIONS: Mapping[str, Callable[[int], Ablation]] = {
    "zero": lambda seed: zero(),
    "mean": lambda seed: mean(),
    "resample": lambda seed: resample(seed=seed),
    "counterfactual": lambda seed: counterfactual(),
    "optimal": lambda seed: optimal(),
}
"""By the name that `TaskGame` and a run's spec have: functions from a seed to an `Ablation`."""
