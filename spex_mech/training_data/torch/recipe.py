"""`Recipe`: how a network is trained, the same for every subset."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi

import numpy as np
from jaxtyping import Float64, Int64

from spex_mech.core.errors import InputError

_OPTIMIZERS = ("sgd", "adamw")
_SCHEDULES = ("constant", "linear", "cosine")


@dataclass(frozen=True)
class Recipe:
    """Optimiser, length and data order of a training.

    Every subset goes through the same minibatches of the whole training set; examples that a subset
    lacks weigh nothing, and the loss is the mean cross-entropy of those of the minibatch that are
    present. A minibatch of which nothing is present makes a step with gradient zero.

    Attributes:
        epochs: passes over the training set.
        batch: examples per minibatch, of the whole set.
        rate: learning rate at the start.
        momentum: of ``sgd``; the first beta of ``adamw``.
        weight_decay: as torch's optimisers take it.
        optimizer: ``sgd`` or ``adamw``.
        schedule: ``constant``, or ``linear`` or ``cosine`` down to 0 after the last step.
        clip: largest norm of each model's own gradient; None for no limit.

    Raises:
        InputError: a number out of range, or an unknown word.
    """

    epochs: int = 20
    batch: int = 32
    rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 0.0
    optimizer: str = "sgd"
    schedule: str = "linear"
    clip: float | None = None

    def __post_init__(self) -> None:
        if self.optimizer not in _OPTIMIZERS or self.schedule not in _SCHEDULES:
            raise InputError(
                f"optimizer is {self.optimizer!r} and schedule {self.schedule!r}; expected one of "
                f"{', '.join(_OPTIMIZERS)} and one of {', '.join(_SCHEDULES)}"
            )
        if self.epochs < 1 or self.batch < 1 or not self.rate > 0:
            raise InputError(
                f"epochs is {self.epochs}, batch {self.batch}, rate {self.rate}; expected positive "
                "numbers"
            )
        clip = 1.0 if self.clip is None else self.clip
        if not (0 <= self.momentum < 1 and self.weight_decay >= 0 and clip > 0):
            raise InputError(
                f"momentum is {self.momentum}, weight_decay {self.weight_decay}, clip {self.clip}; "
                "expected 0 <= momentum < 1, weight_decay >= 0, clip > 0 or None"
            )

    def minibatches(self, count: int, seed: int) -> list[Int64[np.ndarray, " b"]]:
        """Rows of every step, in order: a new permutation of all ``count`` examples each epoch."""
        rng = np.random.default_rng([seed, count])
        steps: list[Int64[np.ndarray, " b"]] = []
        for _ in range(self.epochs):
            order = rng.permutation(count)
            steps += [order[i : i + self.batch] for i in range(0, count, self.batch)]
        return steps

    def rates(self, steps: int) -> Float64[np.ndarray, " s"]:
        """Learning rate of every step."""
        done = np.arange(steps) / steps
        if self.schedule == "constant":
            return np.full(steps, self.rate)
        if self.schedule == "linear":
            return self.rate * (1.0 - done)
        return np.array([self.rate * 0.5 * (1.0 + cos(pi * x)) for x in done])
