"""What an executor is: it evaluates batches of masks somewhere, and yields them in any order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from spex_mech.core.errors import InputError, NonFiniteScoreError
from spex_mech.core.games import AskedGame, Game, ScoredGame


@dataclass(frozen=True, eq=False)
class AskedMasks:
    """Masks that are asked some questions each.

    Attributes:
        masks: bool (b, n), True = present.
        questions: int64 (b, q), positions of the questions that each mask is asked.
    """

    masks: Bool[np.ndarray, "b n"]
    questions: Int64[np.ndarray, "b q"]

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, rows: slice | np.ndarray) -> AskedMasks:
        return AskedMasks(self.masks[rows], self.questions[rows])


Batch: TypeAlias = Bool[np.ndarray, "b n"] | AskedMasks
"""Masks (b, n) that are asked all questions, or some questions each."""

ScoredBatch: TypeAlias = tuple[Float64[np.ndarray, " b"], Float32[np.ndarray, "b ..."] | None]
"""Values (b,) of a batch, and its scores where the game keeps them: (b, questions that were asked, ...)."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Finished batches.

    Attributes:
        batches: which batches these are.
        masks: bool (m, n), their masks one after the other.
        values: float64 (m,), means over the questions that were asked.
        scores: float32 (m, questions that were asked, ...) of games that keep them, else None.
        questions: int64 (m, q), positions of the questions that each mask was asked; None for all.
    """

    batches: list[int]
    masks: Bool[np.ndarray, "m n"]
    values: Float64[np.ndarray, " m"]
    scores: Float32[np.ndarray, "m ..."] | None
    questions: Int64[np.ndarray, "m q"] | None = None


class Executor(Protocol):
    """Evaluates batches of masks.

    A batch is atomic: the game is called with its masks and no others. It counts once the call has
    returned; what a failure or an interrupt loses is at most one batch per worker.

    What is exact: a value does not depend on the number of workers, on chunks and order, or on when a run
    was killed. In float32 it is the same bytes wherever it is evaluated with the same number of CPU threads
    on the same kind of processor or GPU. Other numbers of threads (`LocalExecutor` shares those of this
    process among its workers, unless its ``threads`` says otherwise) and other processors add in another
    order: a score then differs by rounding, 6e-7 where it was measured.
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


def score_batch(game: Game, batch: Batch) -> ScoredBatch:
    """Values and, where the game keeps them, scores of a batch.

    The game is given copies, and what it answers is copied: it may change its arguments in place, or answer
    the same array every time.

    Raises:
        InputError: values of the wrong shape, or of another type than real numbers; some questions for a game
            that cannot be asked them.
        NonFiniteScoreError: NaN or infinite values.
    """
    masks = masks_of(batch)
    if isinstance(batch, AskedMasks):
        if not isinstance(game, AskedGame):
            raise InputError("this game is asked all of its questions; set questions='all'")
        scores = _numbers(game.asked_scores(masks.copy(), batch.questions.copy()), np.float32)
        answers = _numbers(game.per_asked(scores.copy(), batch.questions.copy()), np.float64)
        values = answers.mean(axis=1)
    elif isinstance(game, ScoredGame):
        scores = _numbers(game.scores(masks.copy()), np.float32)
        values = _numbers(game.values_from_scores(scores.copy()), np.float64)
    else:
        scores, values = None, _numbers(game(masks.copy()), np.float64)
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


def _numbers(answer: Any, dtype: type[np.floating]) -> np.ndarray:
    """A game's answer as an array of its own."""
    if callable(getattr(answer, "detach", None)):  # a PyTorch tensor, which may need a gradient
        answer = answer.detach().cpu()
    try:
        return np.array(np.asarray(answer), dtype=dtype)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"the game answered {type(answer).__name__} that is no array of real numbers ({error}); "
            "return one number per mask, such as a NumPy array of shape (m,)"
        ) from error


def chunk_of(which: list[int], batches: Sequence[Batch], parts: Sequence[ScoredBatch]) -> Chunk:
    """The chunk of the batches ``which``, scored one by one; all are asked equally many questions."""
    scores = [part[1] for part in parts if part[1] is not None]
    asked = [batch.questions for i in which if isinstance(batch := batches[i], AskedMasks)]
    return Chunk(
        which,
        np.concatenate([masks_of(batches[i]) for i in which]),
        np.concatenate([part[0] for part in parts]),
        np.concatenate(scores) if scores else None,
        np.concatenate(asked) if asked else None,
    )


def masks_of(batch: Batch) -> Bool[np.ndarray, "b n"]:
    """The masks of a batch."""
    return batch.masks if isinstance(batch, AskedMasks) else batch


def questions_each(batch: Batch) -> int:
    """How many questions each mask of a batch is asked; 0 for all. Only equal numbers fit into one chunk."""
    return batch.questions.shape[1] if isinstance(batch, AskedMasks) else 0
