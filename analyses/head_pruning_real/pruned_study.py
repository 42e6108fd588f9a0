"""What was chosen and answered in each draw of questions, and comparisons over all draws of a set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int64

from spex_mech.core.estimates import Estimate, paired_difference
from spex_mech.core.significance import McNemar, mcnemar, repeated_difference

FULL = "full model"
METRICS = ("accuracy", "margin")


@dataclass(frozen=True)
class Draw:
    """Kept sets of one draw of questions and their answers to its test questions.

    Attributes:
        group: which layers' heads are the players.
        task: the set of questions.
        split: number of the draw.
        methods: k names, ours first.
        keeps: s numbers of heads to keep.
        heads: n names.
        questions: e ids of the test questions.
        kept: bool (k, s, n).
        full: margins (e,) of the full model.
        margins: (k, s, e), of the kept sets.
        alone: (n, e), of the model without one head; (0, e) where these were not asked.
        spent: (k,) ablations that each method spent, rows of all questions.
        seconds: (k + 1,) of processor time, of each method and then of the test; methods share answers.
    """

    group: str
    task: str
    split: int
    methods: tuple[str, ...]
    keeps: tuple[int, ...]
    heads: tuple[str, ...]
    questions: tuple[str, ...]
    kept: Bool[np.ndarray, "k s n"]
    full: Float64[np.ndarray, " e"]
    margins: Float64[np.ndarray, "k s e"]
    alone: Float64[np.ndarray, "n e"]
    spent: Int64[np.ndarray, " k"]
    seconds: Float64[np.ndarray, " k1"]

    def save(self, path: Path) -> None:
        """Write a file, whole or not at all."""
        part = path.with_suffix(".part.npz")
        arrays = {name: np.asarray(value) for name, value in asdict(self).items()}
        small = {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in arrays.items()}
        np.savez_compressed(part, **small)
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> Draw:
        """The draw of a file."""
        with np.load(path) as file:
            found = {name: file[name] for name in file}
        for name in ("group", "task", "split"):
            found[name] = found[name].item()
        for name in ("methods", "keeps", "heads", "questions"):
            found[name] = tuple(found[name].tolist())
        return cls(**{k: v.astype(np.float64) if k in _FLOATS else v for k, v in found.items()})


_FLOATS = ("full", "margins", "alone", "seconds")


@dataclass(frozen=True)
class Study:
    """All draws of a set of questions with one group of heads."""

    draws: Sequence[Draw]

    def values(self, metric: str, method: str, keep: int) -> list[Float64[np.ndarray, " e"]]:
        """The metric of each draw's test questions, under a method's kept set or the full model."""
        return [measured(metric, _margins(draw, method, keep)) for draw in self.draws]

    def mean(self, metric: str, method: str, keep: int) -> float:
        """Mean over the draws, each counting alike."""
        return float(np.mean([v.mean() for v in self.values(metric, method, keep)]))

    def gain(self, metric: str, method: str, other: str, keep: int) -> Estimate:
        """One method minus another, with an interval over draws and questions; of one draw over questions."""
        a, b = self.values(metric, method, keep), self.values(metric, other, keep)
        if len(a) == 1:
            return paired_difference(a[0], b[0], seed=0)
        return repeated_difference(a, b, [draw.questions for draw in self.draws])

    def mcnemar(self, method: str, keep: int) -> McNemar:
        """A method's answers against the full model's; each question once, in the first draw that asks it."""
        ours = self.values("accuracy", method, keep)
        full = self.values("accuracy", FULL, keep)
        first: dict[str, tuple[float, float]] = {}
        for draw, a, b in zip(self.draws, ours, full, strict=True):
            for question, pair in zip(draw.questions, zip(a, b, strict=True), strict=True):
                first.setdefault(question, pair)
        return mcnemar(*np.array(list(first.values())).T)

    @property
    def single(self) -> tuple[Draw, ...]:
        """The draws in which the model was asked without each head alone."""
        return tuple(draw for draw in self.draws if len(draw.alone))

    def without(self, metric: str, head: int, level: float) -> Estimate:
        """What the removal of one head changes, over the questions of all such draws, each question once."""
        first: dict[str, tuple[float, float]] = {}
        for draw in self.single:
            after, before = measured(metric, draw.alone[head]), measured(metric, draw.full)
            for question, pair in zip(draw.questions, zip(after, before, strict=True), strict=True):
                first.setdefault(question, pair)
        return paired_difference(*np.array(list(first.values())).T, seed=0, level=level)

    def removed(self, head: int, keep: int) -> int:
        """In how many draws ours removed a head."""
        return sum(not d.kept[0, d.keeps.index(keep), head] for d in self.draws)


def studies(folder: Path) -> list[Study]:
    """The draws in a folder, by group and set, in order of the first draw's groups and sets."""
    draws = sorted((Draw.load(path) for path in folder.glob("*.npz")), key=_place)
    keys = dict.fromkeys((draw.group, draw.task) for draw in draws)
    return [Study([d for d in draws if (d.group, d.task) == key]) for key in keys]


def measured(metric: str, margins: np.ndarray) -> Float64[np.ndarray, " e"]:
    """A metric of margins: themselves, or 1 where they are positive."""
    return margins if metric == "margin" else (margins > 0).astype(np.float64)


def _place(draw: Draw) -> tuple[int, bool, str, int]:
    groups = ("last", "middle", "early", "all")
    return groups.index(draw.group), "_agreement_" in draw.task, draw.task, draw.split


def _margins(draw: Draw, method: str, keep: int) -> Float64[np.ndarray, " e"]:
    if method == FULL:
        return draw.full
    return draw.margins[draw.methods.index(method), draw.keeps.index(keep)]
