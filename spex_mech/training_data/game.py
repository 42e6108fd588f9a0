"""`TrainingGame`: a trainer, training data and test points as a value function over training subsets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float32, Float64, Int64

from spex_mech.core.errors import InputError, NonFiniteScoreError
from spex_mech.core.games import Questions, SentWhole
from spex_mech.core.masks import check_masks, unique
from spex_mech.core.players import PlayerSet
from spex_mech.evaluation.evaluated import Run
from spex_mech.tasks.metrics import CHOICE_METRICS, Metric
from spex_mech.training_data.examples import Examples, check_pair
from spex_mech.training_data.players import Coalitions, by_example
from spex_mech.training_data.trainers import Trainer
from spex_mech.training_data.trainings import Trainings, seed_noise

SCORER = "class scores of retrained models, v1"


class TrainingGame(SentWhole):
    """What a model trained on a subset is worth at the test points: ``game(masks)`` -> float64 (m,).

    A mask is a training subset. Every mask is trained once a seed and scored at all test points, so one
    set of trainings gives the attributions of each of them (`attribute`). Values are means over test
    points and seeds of a measure that is higher = better:

    - ``margin``: the right class's score minus the best other's,
    - ``loss``: minus the cross-entropy, which is the right class's log-probability,
    - ``logit``: the right class's score as it is,
    - ``accuracy``: 1 where the right class scores above every other; a tie is wrong,
    - ``brier``: minus the Brier score.

    Args:
        trainer: what trains; see `Trainer`.
        train: the training examples.
        test: the test points; validation accuracy is ``value="accuracy"`` on validation points.
        coalitions: the players; by default every training example is one.
        value: the measure.
        seeds: a number of seeds (0, 1, ...) or the seeds themselves; every mask is trained with each.

    Attributes:
        train: the training examples.
        test: the test points.
        seeds: the seeds.

    Raises:
        InputError: examples that do not go together, coalitions of another training set, an unknown
            value, or no seed or one twice.
    """

    def __init__(
        self,
        trainer: Trainer,
        train: Examples,
        test: Examples,
        coalitions: Coalitions | None = None,
        *,
        value: str = "margin",
        seeds: int | Sequence[int] = 1,
    ) -> None:
        check_pair(train, test)
        self.trainer, self.train, self.test = trainer, train, test
        self.coalitions = by_example(train) if coalitions is None else coalitions
        if len(self.coalitions.owner) != len(train):
            raise InputError(
                f"the coalitions are of {len(self.coalitions.owner)} examples, the training set has "
                f"{len(train)}; make them of this set"
            )
        chosen = range(seeds) if isinstance(seeds, int) else seeds
        self.seeds = tuple(int(seed) for seed in chosen)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise InputError(f"seeds are {seeds}, expected at least one, and none twice")
        self.metric = _measure(value)

    @property
    def players(self) -> PlayerSet:
        """The ordered players."""
        return self.coalitions.players

    @cached_property
    def batch(self) -> int:
        """Masks that are evaluated together: what the trainer trains at once, so that a stop costs little."""
        return max(1, self.trainer.at_once)

    @cached_property
    def key(self) -> dict[str, str]:
        """Everything that decides the scores, field by field; the measure does not."""
        return {
            **self.trainer.key,
            "training examples": self.train.fingerprint,
            "test points": self.test.fingerprint,
            "players": _digest(json.dumps([self.players.names, self.coalitions.owner.tolist()])),
            "seeds": " ".join(map(str, self.seeds)),
            "scorer": SCORER,
        }

    @property
    def fingerprint(self) -> str:
        """Hash of `key` and of the measure."""
        return _digest(json.dumps([self.key, self.metric.name], sort_keys=True))

    @cached_property
    def question_ids(self) -> tuple[str, ...]:
        """Names of what is scored: the test points, each with every seed."""
        several = len(self.seeds) > 1
        return tuple(
            f"test {i}, seed {seed}" if several else f"test {i}"
            for i in range(len(self.test))
            for seed in self.seeds
        )

    @property
    def metric_name(self) -> str:
        """Name of the measure."""
        return self.metric.name

    def per_question(
        self, masks: npt.ArrayLike, *, metric: str | None = None
    ) -> Float64[np.ndarray, "m e"]:
        """The game's measure, or another, of every mask, test point and seed; see `scores`."""
        return self.per_example(self.scores(masks), value=metric)

    def describe(self) -> dict[str, Any]:
        """Names of task and measure, for the readers of a store."""
        return {"task": "training data", "metric": self.metric.name}

    def questions(self) -> Questions:
        """The test points, as a store keeps them: another measure can be applied to it."""
        rows, classes = len(self.question_ids), self.test.classes
        texts = [""] * len(self.test) if self.test.texts is None else self.test.texts
        return Questions(
            ids=self.question_ids,
            right=self._right,
            answers=np.tile(np.arange(len(classes)), (rows, 1)),
            options=None,
            lengths=None,
            texts=[(text, classes) for text in texts for _ in self.seeds],
        )

    @cached_property
    def _right(self) -> Int64[np.ndarray, " e"]:
        """The right class of every point and seed."""
        return np.repeat(self.test.labels, len(self.seeds))

    def __call__(self, masks: npt.ArrayLike) -> Float64[np.ndarray, " m"]:
        """Values of masks, (m,): means over test points and seeds.

        Args:
            masks: bool (m, n), True = present.

        Raises:
            InputError: masks that are not bool or not n wide.
            NonFiniteScoreError: a training diverged; names mask and seed.
        """
        return self.values_from_scores(self.scores(masks))

    def scores(self, masks: npt.ArrayLike) -> Float32[np.ndarray, "m e k"]:
        """Class scores of every mask's models at every test point; equal masks are trained once.

        Args:
            masks: bool (m, n), True = present.

        Returns:
            float32 (m, test points, classes); with s seeds (m, test points · s, classes), the seeds of a
            point side by side.

        Raises:
            InputError: masks that are not bool or not n wide, or a trainer's answer of another shape.
            NonFiniteScoreError: a training diverged; names mask and seed.
        """
        checked = check_masks(masks, self.players.n)
        first, inverse = unique(checked)
        todo = checked[first]
        scores = self._train(todo)
        bad = ~np.isfinite(scores).all(axis=2)
        if bad.any():
            j, e = np.argwhere(bad)[0]
            raise self._diverged(todo[j], int(first[j]), self.seeds[e % len(self.seeds)])
        return scores[inverse]

    def values_from_scores(self, scores: Float32[np.ndarray, "m e k"]) -> Float64[np.ndarray, " m"]:
        """Means of the measure over test points and seeds, (m,)."""
        return self.per_example(scores).mean(axis=1)

    def per_example(
        self, scores: Float32[np.ndarray, "m e k"], *, value: str | None = None
    ) -> Float64[np.ndarray, "m e"]:
        """The game's measure, or another, of every mask, test point and seed, (m, points · seeds)."""
        metric = self.metric if value is None else _measure(value)
        return metric(scores, self._right)

    def per_point(
        self, scores: Float32[np.ndarray, "m e k"], *, value: str | None = None
    ) -> Float64[np.ndarray, "m t"]:
        """The game's measure, or another, of every mask and test point, averaged over the seeds."""
        each = self.per_example(scores, value=value)
        return each.reshape(len(each), len(self.test), len(self.seeds)).mean(axis=2)

    def trainings(self, run: Run, *, value: str | None = None) -> Trainings:
        """An evaluated design as masks and a value for every test point, ready for `attribute`.

        Args:
            run: what `evaluate` gave for this game.
            value: another measure; None for the game's own.

        Raises:
            InputError: a run of another game, or one without scores.
        """
        if run.scores is None or run.scores.shape[1] != len(self.question_ids):
            raise InputError(
                f"the run has scores of shape {None if run.scores is None else run.scores.shape}, this "
                f"game has {len(self.question_ids)} scored points; evaluate this game"
            )
        each = self.per_example(run.scores, value=value)
        each = each.reshape(len(each), len(self.test), len(self.seeds))
        names = self.train.classes
        return Trainings(
            masks=run.masks,
            margins=each.mean(axis=2),
            players=self.players,
            player_classes=tuple(names[c] for c in self.coalitions.class_of(self.train)),
            point_classes=tuple(names[c] for c in self.test.labels),
            noise=seed_noise(each) if len(self.seeds) > 1 else None,
        )

    def _train(self, masks: Bool[np.ndarray, "m n"]) -> Float32[np.ndarray, "m e k"]:
        """Class scores of different masks, as many trained at once as the trainer takes."""
        points, classes = len(self.test), len(self.test.classes)
        scores = np.empty((len(masks), points, len(self.seeds), classes), np.float32)
        for start in range(0, len(masks), self.batch):
            part = slice(start, start + self.batch)
            subsets = self.coalitions.subsets(masks[part])
            shape = (len(subsets), points, classes)
            for s, seed in enumerate(self.seeds):
                outputs = np.asarray(self.trainer.outputs(self.train, self.test, subsets, seed))
                if outputs.shape != shape:
                    raise InputError(
                        f"the trainer answered scores of shape {outputs.shape}, expected {shape}: "
                        "(subsets, test points, classes)"
                    )
                scores[part, :, s] = outputs
        return scores.reshape(len(masks), points * len(self.seeds), classes)

    def _diverged(self, mask: Bool[np.ndarray, " n"], row: int, seed: int) -> NonFiniteScoreError:
        names = [name for name, kept in zip(self.players.names, mask, strict=True) if not kept]
        gone = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        return NonFiniteScoreError(
            f"the training of mask {row} with seed {seed} diverged (without {gone or 'nothing'}): its "
            "scores are not finite; lower the learning rate, set clip=1.0 in the recipe, or leave this "
            "mask out of the design"
        )

    def __repr__(self) -> str:
        return (
            f"TrainingGame({type(self.trainer).__name__}, {len(self.train)} training examples, "
            f"{self.players.n} players, {len(self.test)} test points, {self.metric.name}, "
            f"{len(self.seeds)} seed{'s' * (len(self.seeds) > 1)})"
        )


def _measure(name: str) -> Metric:
    measured_here = {"logit": Metric("logit", lambda scores, right, full: _right(scores, right))}
    measured_here["loss"] = CHOICE_METRICS["logprob"]
    shared = ("margin", "accuracy", "brier", "logprob")
    measures = {**measured_here, **{measure: CHOICE_METRICS[measure] for measure in shared}}
    if name not in measures:
        raise InputError(f"value is {name!r}, expected one of {', '.join(measures)}")
    return measures[name]


def _right(scores: npt.NDArray, right: npt.NDArray) -> npt.NDArray:
    return np.take_along_axis(scores, right[None, :, None], axis=2)[..., 0]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
