"""`attribute`: one decode per test point, all from the same trainings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64
from tqdm.auto import tqdm

from spex_mech.core.errors import InputError
from spex_mech.core.interactions import interactions
from spex_mech.core.players import PlayerSet
from spex_mech.core.short_repr import short_repr
from spex_mech.core.spectrum import Spectrum
from spex_mech.decoders.decode import decode
from spex_mech.training_data.trainings import Trainings


@dataclass(frozen=True)
class Joint:
    """A set of training examples that act together at a test point.

    Attributes:
        players: positions of the players.
        value: what they do together beyond what each does alone; positive = synergy, negative =
            redundancy. Over several test points: the sum, see `Attributions.redundant`.
        effects: the average effect of each on its own.
    """

    players: tuple[int, ...]
    value: float
    effects: tuple[float, ...]


@short_repr
@dataclass(frozen=True, eq=False)
class Attributions:
    """What training examples do to test points, alone and together.

    Attributes:
        players: the ordered players.
        points: the test points, positions among those of the trainings.
        spectra: a spectrum for each of the points.
        effects: float64 (p, n): Banzhaf value of every player at every point, positive = helps.
        player_classes: class name of each player, or None.
        point_classes: class name of each of the points, or None.
        index: the index of the joint values.
        order: largest number of players of a set.
    """

    players: PlayerSet
    points: tuple[int, ...]
    spectra: tuple[Spectrum, ...] = field(repr=False)
    effects: Float64[np.ndarray, "p n"] = field(repr=False)
    player_classes: tuple[str, ...] | None = field(default=None, repr=False)
    point_classes: tuple[str, ...] | None = field(default=None, repr=False)
    index: str = "FBII"
    order: int = 2

    @classmethod
    def of(
        cls,
        trainings: Trainings,
        points: Iterable[int],
        spectra: Iterable[Spectrum],
        *,
        index: str = "FBII",
        order: int = 2,
    ) -> Attributions:
        """Attributions from spectra that are at hand, one for each of the points."""
        rows, decoded = tuple(int(p) for p in points), tuple(spectra)
        effects = np.zeros((len(rows), trainings.players.n))
        for row, (_, spectrum) in enumerate(zip(rows, decoded, strict=True)):
            for (i,), value in interactions(spectrum, "Banzhaf", 1).values.items():
                effects[row, i] = value
        classes = trainings.point_classes
        return cls(
            trainings.players,
            rows,
            decoded,
            effects,
            trainings.player_classes,
            None if classes is None else tuple(classes[p] for p in rows),
            index,
            order,
        )

    def __call__(self, masks: Bool[np.ndarray, "m n"]) -> Float64[np.ndarray, "m p"]:
        """Predicted values of subsets at every point."""
        return np.stack([spectrum(masks) for spectrum in self.spectra], axis=1)

    def joint(self, point: int) -> list[Joint]:
        """All sets of two or more players that act together at a point, strongest first."""
        return self._joint[self._row(point)]

    def synergies(self, point: int, k: int = 5) -> list[Joint]:
        """The ``k`` sets that do most more together than alone."""
        return [x for x in self.joint(point) if x.value > 0][:k]

    def redundancies(self, point: int, k: int = 5) -> list[Joint]:
        """The ``k`` sets that do most less together than alone: where one stands in for another."""
        return [x for x in self.joint(point) if x.value < 0][:k]

    def redundant(self, k: int = 10) -> list[Joint]:
        """The ``k`` most redundant pairs over all points: duplicates, and examples that say the same.

        A pair's value is minus the sum, over the points, of its joint value times the sign of the two
        effects, where these agree: a pair that hurts is redundant where together it hurts less.
        """
        total: Counter[tuple[int, ...]] = Counter()
        for row, sets in enumerate(self._joint):
            for x in sets:
                if len(x.players) == 2:
                    side = np.sign(self.effects[row, list(x.players)]).sum() / 2
                    total[x.players] -= side * x.value
        best = sorted(total.items(), key=lambda item: -item[1])[:k]
        means = self.effects.mean(axis=0)
        return [Joint(pair, v, tuple(means[list(pair)].tolist())) for pair, v in best if v > 0]

    def strongest(self, point: int, k: int = 5) -> list[tuple[int, float]]:
        """The ``k`` players of largest absolute effect at a point."""
        row = self.effects[self._row(point)]
        return [(int(i), float(row[i])) for i in np.argsort(-np.abs(row), kind="stable")[:k]]

    def of_other_classes(self, point: int, k: int = 5) -> list[tuple[int, float]]:
        """The ``k`` players of other classes than the point's that move it most: they shape its boundary.

        Raises:
            InputError: trainings without class names.
        """
        if self.player_classes is None or self.point_classes is None:
            raise InputError(
                "these trainings have no class names; give player_classes and point_classes"
            )
        row = self._row(point)
        point_class = self.point_classes[row]
        effects = [
            (i, float(self.effects[row, i]))
            for i, name in enumerate(self.player_classes)
            if name != point_class and self.effects[row, i] != 0
        ]
        return sorted(effects, key=lambda item: -abs(item[1]))[:k]

    def text(self, point: int, k: int = 3) -> str:
        """A point's synergies, redundancies and strongest examples of other classes, one per line."""
        row = self._row(point)
        label = "" if self.point_classes is None else f" ({self.point_classes[row]})"
        lines = [f"test point {point}{label}"]
        for title, sets in (
            ("synergy", self.synergies(point, k)),
            ("redundancy", self.redundancies(point, k)),
        ):
            for x in sets:
                alone = ", ".join(f"{e:+.2f}" for e in x.effects)
                lines.append(
                    f"  {title} {x.value:+.2f}: {self.players.label(x.players)} (alone {alone})"
                )
        if self.player_classes is not None and self.point_classes is not None:
            for i, effect in self.of_other_classes(point, k):
                lines.append(f"  other class {effect:+.2f}: {self.players.names[i]}")
        return "\n".join(lines)

    @cached_property
    def _joint(self) -> list[list[Joint]]:
        joint = []
        for spectrum, effects in zip(self.spectra, self.effects, strict=True):
            values = interactions(spectrum, self.index, self.order)
            sets = values.joint(len(values.values))
            joint.append(
                [Joint(players, v, tuple(effects[list(players)].tolist())) for players, v in sets]
            )
        return joint

    def _row(self, point: int) -> int:
        if point not in self.points:
            raise InputError(
                f"test point {point} was not decoded; those that were: {list(self.points)[:10]}"
            )
        return self.points.index(point)


def attribute(
    trainings: Trainings,
    *,
    points: Sequence[int] | None = None,
    method: str = "auto",
    seed: int = 0,
    index: str = "FBII",
    order: int = 2,
    progress: bool = False,
    **options: Any,
) -> Attributions:
    """Decode every test point from the same trainings.

    Args:
        trainings: from `TrainingGame.trainings` or `load_trainings`.
        points: the test points to decode; None for all.
        method: any of `sm.decode`.
        seed: seed of the decoder.
        index: interaction index of the joint values; see `sm.interactions`.
        order: largest number of players of a set.
        progress: show a progress bar.
        **options: keywords of the decoder.

    Raises:
        InputError: a test point that is not there, or what the decoder refuses.
    """
    chosen = tuple(range(trainings.points)) if points is None else tuple(int(p) for p in points)
    spectra = []
    for point in tqdm(chosen, desc="test points", disable=not progress, leave=False):
        values = trainings.values(point)
        spectra.append(decode(trainings.design, values, method=method, seed=seed, **options))
    return Attributions.of(trainings, chosen, spectra, index=index, order=order)
