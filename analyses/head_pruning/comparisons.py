"""Paired comparisons of kept sets over splits: everything that the tables and figures say."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from study import CONFIG, METRICS, Scores, mask_of

from spex_mech.core.estimates import Estimate
from spex_mech.core.significance import McNemar, mcnemar, repeated_difference
from spex_mech.pruning.prune import OURS

FULL = "full model"


@dataclass(frozen=True)
class Study:
    """Test margins of every method at every size, for the splits that are complete.

    Attributes:
        seeds: the splits in which every subject has every method.
        methods: ours first.
    """

    rows: Iterable[dict]
    scores: Scores

    @cached_property
    def _kept(self) -> dict[tuple[int, str, str], dict[str, list[int]]]:
        return {(row["seed"], row["subject"], row["method"]): row["kept"] for row in self.rows}

    @cached_property
    def methods(self) -> list[str]:
        """Ours, then the others as they come."""
        found = dict.fromkeys(row["method"] for row in self.rows)
        return [OURS, *(name for name in found if name != OURS)]

    @cached_property
    def seeds(self) -> list[int]:
        """Splits in which nothing is missing."""
        return [
            seed
            for seed in CONFIG["seeds"]
            if all((seed, s, m) in self._kept for s in CONFIG["subjects"] for m in self.methods)
        ]

    def margins(self, subject: str, method: str, keep: int) -> list[np.ndarray]:
        """Margins (questions,) in each split; of the full model for the method ``full model``."""
        return [self._margin(subject, seed, subject, method, keep) for seed in self.seeds]

    def transferred(self, chosen_for: str, asked: str, keep: int) -> list[np.ndarray]:
        """Margins on one subject of ours chosen for another."""
        return [self._margin(asked, seed, chosen_for, OURS, keep) for seed in self.seeds]

    def values(self, metric: str, subject: str, method: str, keep: int) -> list[np.ndarray]:
        """The metric of each question in each split."""
        return [measured(metric, m) for m in self.margins(subject, method, keep)]

    def mean(self, metric: str, subject: str, method: str, keep: int) -> float:
        """The metric's mean over questions and splits."""
        return float(np.mean(self.values(metric, subject, method, keep)))

    def gain(self, metric: str, subject: str, method: str, keep: int) -> Estimate:
        """Ours minus a method, paired, with an interval over splits and questions."""
        ours = self.values(metric, subject, OURS, keep)
        return self.difference(ours, self.values(metric, subject, method, keep), subject)

    def difference(self, a: list[np.ndarray], b: list[np.ndarray], subject: str) -> Estimate:
        """The first minus the second, values of each split's questions, with its interval."""
        return repeated_difference(a, b, [self.scores.questions(subject, r) for r in self.seeds])

    def average_gain(self, metric: str, method: str, keeps: list[int]) -> Estimate:
        """The same over all subjects and some sizes, each counting alike."""
        a, b, questions = [], [], []
        for r, seed in enumerate(self.seeds):
            both = {OURS: [], method: []}
            ids = []
            for subject in CONFIG["subjects"]:
                for name, parts in both.items():
                    of_sizes = [self.values(metric, subject, name, keep)[r] for keep in keeps]
                    parts.append(np.mean(of_sizes, axis=0))
                ids += self.scores.questions(subject, seed)
            a.append(np.concatenate(both[OURS]))
            b.append(np.concatenate(both[method]))
            questions.append(ids)
        return repeated_difference(a, b, questions)

    def mcnemar(self, subject: str, method: str, keep: int) -> McNemar:
        """Right and wrong of ours and of a method; each question once, in the first split that asks it."""
        ours = self.values("accuracy", subject, OURS, keep)
        other = self.values("accuracy", subject, method, keep)
        first: dict[str, tuple[float, float]] = {}
        for seed, x, y in zip(self.seeds, ours, other, strict=True):
            for name, pair in zip(
                self.scores.questions(subject, seed), zip(x, y, strict=True), strict=True
            ):
                first.setdefault(name, pair)
        a, b = np.array(list(first.values())).T
        return mcnemar(a, b)

    def _margin(self, asked: str, seed: int, chosen_for: str, method: str, keep: int) -> np.ndarray:
        if method == FULL:
            mask = np.ones(32, dtype=bool)
        else:
            mask = mask_of(self._kept[seed, chosen_for, method][str(keep)])
        return self._table(asked, seed, mask)

    def _table(self, subject: str, seed: int, mask: np.ndarray) -> np.ndarray:
        key = subject, seed, mask.tobytes()
        if key not in self._known:
            self._known[key] = self.scores.margins(subject, seed, mask[None])[0]
        return self._known[key]

    @cached_property
    def _known(self) -> dict[tuple[str, int, bytes], np.ndarray]:
        return {}


def measured(metric: str, margins: np.ndarray) -> np.ndarray:
    """A metric of margins: themselves, or 1 where they are positive."""
    return margins if metric == METRICS[1] else (margins > 0).astype(np.float64)
