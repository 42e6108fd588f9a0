"""Evaluating in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from spex_mech.core.games import Game
from spex_mech.evaluation.executors.executor import (
    Batch,
    Chunk,
    ScoredBatch,
    chunk_of,
    score_batch,
)
from spex_mech.evaluation.executors.pace import Pace


@dataclass(frozen=True)
class InProcessExecutor:
    """Evaluates in this process, one batch after the other."""

    def map(self, game: Game, batches: Sequence[Batch]) -> Iterator[Chunk]:
        """See `Executor.map`; whatever stops the game, the batches that are done are yielded first."""
        pace, start = Pace(), 0
        while start < len(batches):
            chunk = list(range(start, start + pace.size(len(batches) - start, 1)))
            began = time.monotonic()
            parts: list[ScoredBatch] = []
            try:
                for i in chunk:
                    parts.append(score_batch(game, batches[i]))
            except BaseException:
                if parts:
                    yield chunk_of(chunk[: len(parts)], batches, parts)
                raise
            ended = time.monotonic()
            pace.took(len(chunk), ended - began, 1)
            yield chunk_of(chunk, batches, parts)
            pace.waited(time.monotonic() - ended)
            start += len(chunk)

    def describe(self) -> dict[str, Any]:
        """See `Executor.describe`."""
        return {"executor": "local", "workers": 1}
