"""What an executor is: it evaluates batches of masks somewhere, and answers in any order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from jaxtyping import Bool, Float32, Float64

from spex_mech.core.errors import InputError, NonFiniteScoreError
from spex_mech.core.games import ScoredValueFunction, ValueFunction

Game: TypeAlias = ValueFunction | Callable[[npt.NDArray[np.bool_]], npt.ArrayLike]
Batch: TypeAlias = Bool[np.ndarray, "b n"]
Scored: TypeAlias = tuple[Float64[np.ndarray, " b"], Float32[np.ndarray, "b ..."] | None]
Rest: TypeAlias = tuple[Batch, Scored]


@dataclass(frozen=True, eq=False)
class Answer:
    """A finished chunk.

    Attributes:
        batches: which batches it holds whole.
        masks: bool (m, n), their masks one after the other; then those that the game had finished of
            a batch in which it failed.
        values: float64 (m,).
        scores: float32 (m, examples, ...) of games that keep them, else None.
    """

    batches: list[int]
    masks: Bool[np.ndarray, "m n"]
    values: Float64[np.ndarray, " m"]
    scores: Float32[np.ndarray, "m ..."] | None


class Executor(Protocol):
    """Evaluates batches of masks.

    A batch is never split or joined: the game is called with its masks and no others, so that a value
    does not depend on where, with how many workers and in which order it was evaluated.
    """

    def map(self, game: Game, batches: Sequence[Batch]) -> Iterator[Answer]:
        """Yield finished chunks of batches in any order, each batch once.

        No more than a chunk a worker is evaluated ahead of what the caller has taken. Whatever ends
        the iteration ends the workers. Where the game fails, what was finished is answered first.
        """
        ...

    def describe(self) -> dict[str, Any]:
        """The settings, for the record."""
        ...


def score_batch(game: Game, masks: Batch) -> Scored:
    """Values and, where the game keeps them, scores of a batch.

    Raises:
        InputError: values of the wrong shape.
        NonFiniteScoreError: NaN or infinite values.
    """
    if isinstance(game, ScoredValueFunction):
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


def rest_of(game: Game, masks: Batch) -> Rest | None:
    """What a game had finished of a batch when its call failed or was interrupted.

    Games that can tell have a method ``finished(masks)`` -> bool (m,), as `TaskGame` has; scoring those
    masks again must not evaluate them. Others have finished nothing.
    """
    finished = getattr(game, "finished", None)
    if not callable(finished):
        return None
    try:
        done = masks[np.asarray(finished(masks), dtype=bool)]
        return (done, score_batch(game, done)) if len(done) else None
    except Exception:  # the failure that brought us here is the one to tell
        return None


def answer(
    which: list[int],
    batches: Sequence[Batch],
    parts: Sequence[Scored],
    rest: Rest | None = None,
) -> Answer:
    """The answer of the batches ``which``, scored one by one, and of a last one's ``rest``."""
    masks, scored = [batches[i] for i in which], list(parts)
    if rest is not None:
        masks.append(rest[0])
        scored.append(rest[1])
    scores = [part[1] for part in scored if part[1] is not None]
    return Answer(
        which,
        np.concatenate(masks),
        np.concatenate([part[0] for part in scored]),
        np.concatenate(scores) if scores else None,
    )


def key_of(game: Game) -> dict[str, str]:
    """What decides a game's answers, field by field: its ``key``, or else its ``fingerprint``."""
    key = getattr(game, "key", None)
    if isinstance(key, dict):
        return key
    return {"fingerprint": str(getattr(game, "fingerprint", "none"))}
