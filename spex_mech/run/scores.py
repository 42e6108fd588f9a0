"""Kept sets on test questions, read off the test store: any metric, without the model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from spex_mech.core.errors import InputError
from spex_mech.core.estimates import Estimate, bootstrap_mean, paired_difference
from spex_mech.core.significance import mcnemar
from spex_mech.evaluation.stored_run import StoredRun, open_run
from spex_mech.pruning.prune import OURS, Pruned
from spex_mech.run.folder import RunFolder
from spex_mech.run.records import ScoredSet, ScoreTable, kept_sets_from_json, scores_from_json
from spex_mech.tasks.metrics import metric_for
from spex_mech.tasks.noise import accuracy_noise


def score_folder(folder: RunFolder, metrics: Sequence[str] | None = None) -> ScoreTable:
    """Score a run's kept sets from its test store.

    Intervals are 95 %: of accuracies Wilson's, of their paired differences Bonett and Price's (see
    `mcnemar`), of other metrics bootstraps over questions.

    Args:
        folder: the run's folder, pruned and tested.
        metrics: metrics to score; default ``accuracy`` and the metric of the search.

    Raises:
        MissingFileError: nothing was pruned or tested.
        InputError: kept sets that were not tested, or an unknown metric.
    """
    stored = open_run(folder.test)
    players = stored.players
    kept = folder.read("kept.json", lambda rows: kept_sets_from_json(rows, players))
    masks = np.stack([np.ones(stored.players.n, dtype=bool), *[k.mask for k in kept]])
    names = list(dict.fromkeys(metrics)) if metrics else _default(stored, folder)
    tables = {name: stored.with_metric(name).per_example(masks) for name in names}
    seed = folder.spec.prune.seed
    ours = {k.keep: row for row, k in enumerate(kept, 1) if k.method == OURS}
    if missing := {k.keep for k in kept} - ours.keys():
        raise InputError(
            f"{folder.path / 'kept.json'} has no set by {OURS!r} of sizes {sorted(missing)} to compare "
            "with; prune again"
        )
    points = []
    for row, one in enumerate(kept, 1):
        ours_at = ours[one.keep]
        rival = row != ours_at
        points.append(
            ScoredSet(
                kept=one,
                metrics={k: _mean(k, t[row], seed) for k, t in tables.items()},
                change={k: metric_difference(k, t[row], t[0], seed) for k, t in tables.items()},
                gains={k: metric_difference(k, t[ours_at], t[row], seed) for k, t in tables.items()}
                if rival
                else {},
                p=mcnemar(tables["accuracy"][ours_at], tables["accuracy"][row]).p
                if rival and "accuracy" in tables
                else None,
            )
        )
    return ScoreTable(
        full={k: _mean(k, t[0], seed) for k, t in tables.items()},
        points=points,
        chance=_chance(stored),
        looks=_looks(folder, kept, stored),
    )


def _mean(metric: str, values: Float64[np.ndarray, " e"], seed: int) -> Estimate:
    """A mean with its interval: Wilson's for shares, which a bootstrap makes too short near 0 and 1."""
    if not metric.startswith("accuracy"):
        return bootstrap_mean(values, seed=seed)
    noise = accuracy_noise(values)
    return Estimate(noise.accuracy, noise.low, noise.high, noise.questions, 0.95)


def metric_difference(
    metric: str, a: Float64[np.ndarray, " e"], b: Float64[np.ndarray, " e"], seed: int
) -> Estimate:
    """Mean of a - b on the same questions with its interval; of accuracies Bonett and Price's.

    Args:
        metric: the metric of the values.
        a: float64 (e,), one value for each question.
        b: float64 (e,), the other model's.
        seed: seed of the bootstrap.
    """
    if not metric.startswith("accuracy"):
        return paired_difference(a, b, seed=seed)
    return mcnemar(a, b).difference


def _default(stored: StoredRun, folder: RunFolder) -> list[str]:
    metric = folder.spec.game.metric or stored.facts["game"].get("metric", "logprob")
    try:
        metric_for("accuracy", stored.prompts)
    except InputError:
        return [metric]
    return list(dict.fromkeys(["accuracy", metric]))


def _chance(stored: StoredRun) -> float | None:
    """Accuracy of guessing: the mean of 1 / options over the questions."""
    prompts = stored.prompts
    if not prompts.has_answers:
        return None
    counts = [None if texts is None else len(texts) for _, texts in stored.texts]
    if any(not c for c in counts):
        return None
    return float(np.mean([1 / c for c in counts if c]))


def _looks(folder: RunFolder, kept: list[Pruned], stored: StoredRun) -> int:
    """How many different choices of kept sets the test questions have seen, this one included."""
    if not folder.has("results.json"):
        return 1
    before = folder.read("results.json", lambda content: scores_from_json(content, stored.players))
    seen = {p.kept.mask.tobytes() for p in before.points}
    return before.looks + (0 if {k.mask.tobytes() for k in kept} <= seen else 1)
