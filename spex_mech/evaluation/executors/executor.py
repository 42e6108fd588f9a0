"""What an executor is: it evaluates batches of masks somewhere, and yields them in any order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from jaxtyping import Bool, Float32, Float64

from spex_mech.core.errors import InputError, NonFiniteScoreError
from spex_mech.core.games import Game, ScoredGame

Batch: TypeAlias = Bool[np.ndarray, "b n"]
ScoredBatch: TypeAlias = tuple[Float64[np.ndarray, " b"], Float32[np.ndarray, "b ..."] | None]
"""Values (b,) of a batch, and its scores (b, examples, ...) where the game keeps them."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Finished batches.

    Attributes:
        batches: which batches these are.
        masks: bool (m, n), their masks one after the other.
        values: float64 (m,).
        scores: float32 (m, examples, ...) of games that keep them, else None.
    """

    batches: list[int]
    masks: Bool[np.ndarray, "m n"]
    values: Float64[np.ndarray, " m"]
    scores: Float32[np.ndarray, "m ..."] | None


class Executor(Protocol):
    """Evaluates batches of masks.

    A batch is atomic: the game is called with its masks and no others, so that a value does not depend
    on where, with how many workers and in which order it was evaluated. A batch counts once the call has
    returned; what a failure or an interrupt loses is at most one batch per worker.
    """

    def map(self, game: Game, batches: Sequence[Batch]) -> Iterator[Chunk]:
        """Yield finished chunks of batches in any order, each batch once.

        No more than a chunk per worker is evaluated ahead of what the caller has taken. Whatever ends
        the iteration ends the workers. Where the game fails, finished batches are yielded first.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """The settings, for the record."""
        ...


def score_batch(game: Game, masks: Batch) -> ScoredBatch:
    """Values and, where the game keeps them, scores of a batch.

    Raises:
        InputError: values of the wrong shape.
        NonFiniteScoreError: NaN or infinite values.
    """
    if isinstance(game, ScoredGame):
        scores = np.asarray(game.scores(masks), dtype=np.float32)
        values = np.asarray(game.values_from_scores(scores), dtype=np.float64)
    else:
        scores, values = None, np.asarray(game(masks), dtype=np.float64)
    if values.shape != (len(masks),):
        raise InputError(
            f"the game answered values of shape {values.shape} for {len(masks)} masks, expected "
            f"({len(masks)},)"
        )
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise NonFiniteScoreError(
            f"the game answered {values[bad[0]]} for mask {masks[bad[0]].astype(int)}; values must be "
            "finite"
        )
    return values, scores


def chunk_of(which: list[int], batches: Sequence[Batch], parts: Sequence[ScoredBatch]) -> Chunk:
    """The chunk of the batches ``which``, scored one by one."""
    scores = [part[1] for part in parts if part[1] is not None]
    return Chunk(
        which,
        np.concatenate([batches[i] for i in which]),
        np.concatenate([part[0] for part in parts]),
        np.concatenate(scores) if scores else None,
    )
