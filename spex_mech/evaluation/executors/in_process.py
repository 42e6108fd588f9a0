"""Evaluating in this process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from spex_mech.evaluation.executors.executor import (
    Answer,
    Batch,
    Game,
    Scored,
    answer,
    rest_of,
    score_batch,
)
from spex_mech.evaluation.executors.pace import Pace


@dataclass(frozen=True)
class InProcessExecutor:
    """Evaluates in this process, one batch after the other."""

    def map(self, game: Game, batches: Sequence[Batch]) -> Iterator[Answer]:
        """See `Executor.map`; whatever stops the game, what it finished is answered first."""
        pace, start = Pace(), 0
        while start < len(batches):
            chunk = list(range(start, start + pace.size(len(batches) - start, 1)))
            began = time.monotonic()
            parts: list[Scored] = []
            try:
                for i in chunk:
                    parts.append(score_batch(game, batches[i]))
            except BaseException:
                done = len(parts)
                rest = rest_of(game, batches[chunk[done]]) if done < len(chunk) else None
                if parts or rest:
                    yield answer(chunk[:done], batches, parts, rest)
                raise
            ended = time.monotonic()
            pace.took(len(chunk), ended - began, 1)
            yield answer(chunk, batches, parts)
            pace.waited(time.monotonic() - ended)
            start += len(chunk)

    def describe(self) -> dict[str, Any]:
        """See `Executor.describe`."""
        return {"executor": "local", "workers": 1}
