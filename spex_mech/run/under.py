"""The circuit step's kept set under several kinds of ablation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool

from spex_mech.ablation import ABLATIONS
from spex_mech.ablation.constants import Constants
from spex_mech.ablation.game import TaskGame
from spex_mech.evaluation.executors import Executor
from spex_mech.pruning.under import AblatedGame, UnderAblation, under_ablations
from spex_mech.run.constants import set_constants
from spex_mech.run.folder import RunFolder
from spex_mech.run.setup import Setup, circuit_task
from spex_mech.tasks.partners import paired_only
from spex_mech.tasks.task import ChoiceTask


def under_step(
    setup: Setup,
    folder: RunFolder,
    mask: Bool[np.ndarray, " n"],
    names: Sequence[str],
    *,
    executor: str | Executor = "local",
    progress: bool | None = None,
) -> tuple[UnderAblation, ...]:
    """One kept set on the circuit's test questions, under each of some kinds of ablation.

    Constants of optimal ablation are fitted for the kept set, and F(∅) has constants fitted for it: each is
    the best that constants can do.

    Args:
        setup: what was run.
        folder: the run's folder.
        mask: bool (n,), True = kept.
        names: kinds of ablation; each is taken once.
        executor: see `evaluate`.
        progress: see `evaluate`.

    Raises:
        InputError: no question has a partner that ``counterfactual`` needs.
    """
    task = circuit_task(setup)
    if any(ABLATIONS[name](0).paired for name in names):
        task = paired_only(task, setup.model.tokenizer, "test")
    games = [_ablated(setup, folder, task, mask, name) for name in dict.fromkeys(names)]
    seed = setup.spec.circuit.seed
    return under_ablations(games, mask, seed=seed, executor=executor, progress=progress)


def _ablated(
    setup: Setup, folder: RunFolder, task: ChoiceTask, mask: Bool[np.ndarray, " n"], name: str
) -> AblatedGame:
    spec, count = setup.spec, len(task.select("test"))

    def game(constants: Constants | None = None) -> TaskGame:
        return TaskGame(
            setup.model,
            task,
            setup.players,
            split="test",
            metric=setup.game.metric.name,
            ablation=name,
            rescale=spec.game.rescale and name == "zero",
            seed=setup.game.seed,
            constants=constants,
            engine=setup.game.engine,
        )

    store = folder.circuit_under(count, name)
    if not ABLATIONS[name](0).fitted:
        return AblatedGame(name, game(), store)
    nothing = set_constants(setup.game, np.zeros_like(mask), folder)
    own = nothing if mask.all() else set_constants(setup.game, mask, folder)
    stores = [store.with_name(f"{store.name}-{x.digest[:12]}") for x in (own, nothing)]
    label = f"{name}, fitted for this set"
    return AblatedGame(label, game(own), stores[0], game(nothing), stores[1])
