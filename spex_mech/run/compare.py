"""The comparison of a run: the exported set on test questions, of the run's own task and of others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from spex_mech.ablation.game import TaskGame
from spex_mech.core.estimates import bootstrap_mean
from spex_mech.designs import MaskDesign
from spex_mech.evaluation.evaluate import evaluate
from spex_mech.evaluation.executors import Executor
from spex_mech.exporting.comparison import Measure, TaskComparison
from spex_mech.run.comparisons import FILE
from spex_mech.run.folder import RunFolder
from spex_mech.run.prune import kept_of
from spex_mech.run.records import kept_to_json
from spex_mech.run.scores import metric_difference
from spex_mech.run.setup import Setup, other_game
from spex_mech.tasks.calibration import calibrate, calibration_difference


def compare_step(
    setup: Setup,
    folder: RunFolder,
    keep: int | None = None,
    *,
    executor: str | Executor = "local",
    progress: bool | None = None,
) -> list[TaskComparison]:
    """Ask the whole and the pruned model test questions of the run's task and of ``others``, and write it.

    Measured are accuracy, margin, calibration error (see `calibrate`) and the divergence KL(full || pruned)
    of the answers in nats, all by ablation; of texts without answers their log-probability.

    Args:
        setup: what was run.
        folder: the run's folder, with its kept sets.
        keep: the size; by default the one to be exported.
        executor: see `evaluate`.
        progress: see `evaluate`.

    Raises:
        MissingFileError: nothing was pruned.
        InputError: a size that was not pruned to.
    """
    kept = kept_of(folder, setup.players, keep)
    masks = np.stack([np.ones(setup.players.n, dtype=bool), kept.mask])
    seed = setup.spec.prune.seed
    compared = []
    with folder.timed("compare"):
        for game, store in _games(setup, folder):
            asked = evaluate(
                game,
                MaskDesign(masks, seed=seed),
                store=store,
                executor=executor,
                spec=setup.spec.model_dump(),
                progress=progress,
                label=game.task.name,
            )
            assert asked.scores is not None  # a task's game keeps them
            compared.append(_compared(game, asked.scores, store == folder.test, seed))
    content = {
        "kept": kept_to_json(kept, setup.players),
        "tasks": [asdict(comparison) for comparison in compared],
    }
    folder.save(FILE, content)
    return compared


def _games(setup: Setup, folder: RunFolder) -> Iterator[tuple[TaskGame, Path]]:
    """The games to compare on, and their stores."""
    yield setup.game.with_split("test"), folder.test
    for task in setup.others:
        yield other_game(setup, task), folder.path / f"other-{task.name.replace('/', '-')}"


def _compared(
    game: TaskGame, scores: Float32[np.ndarray, "2 e ..."], specialised: bool, seed: int
) -> TaskComparison:
    right, options = game.prompts.right, game.prompts.has_answers
    form = "_norm" if game.task.metric.endswith("_norm") else ""
    names = [f"accuracy{form}", f"margin{form}"] if options else ["logprob"]
    measures = []
    for name in names:
        before, after = game.per_example(scores, metric=name)
        change = metric_difference(name, after, before, seed)
        measures.append(Measure(name, float(before.mean()), float(after.mean()), change))
    if options:
        errors = [calibrate(side, right).error for side in scores]
        change = calibration_difference(scores[1], scores[0], right, seed=seed)
        measures.append(Measure("calibration error", *errors, change))
        divergence = bootstrap_mean(-game.per_example(scores, metric="kl")[1], seed=seed)
        measures.append(Measure("KL to the full model", 0.0, divergence.mean, divergence))
    chance = game.task.chance if options else None
    return TaskComparison(game.task.name, specialised, len(right), chance, tuple(measures))
