"""How many batches a worker is given at once."""

from __future__ import annotations

import time
from collections import deque
from statistics import median

_LEAST_SECONDS, _MOST_SECONDS = 2.0, 60.0
_SHARE = 0.02  # of the time spent so far, which a chunk in flight may cost
_WAITING = 0.01  # of the time, for which evaluating may stand still while a chunk is stored
_CHUNKS_PER_SECOND = 4  # that the one writer is asked to take


class Pace:
    """Sizes of the next chunks, in batches.

    A chunk should take 2 seconds at first, later 2 % of the time spent so far, at most a minute; longer
    where storing one takes more than a hundredth of that, and with many workers so long that no more
    than four chunks per second arrive. Its size starts at one batch and at most doubles.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._size = 1.0
        self._waits: deque[float] = deque(maxlen=9)

    def size(self, left: int, workers: int) -> int:
        """Batches of the next chunk, when ``left`` are left for all workers."""
        fair = -(-left // max(1, workers))
        return max(1, min(int(self._size), fair))

    def waited(self, seconds: float) -> None:
        """Learn for how long evaluating stood still after a chunk, because it was stored."""
        self._waits.append(seconds)

    def took(self, batches: int, seconds: float, workers: int) -> None:
        """Learn from a chunk: ``batches`` took one worker so many seconds."""
        spent = time.monotonic() - self._began
        waiting = median(self._waits) / _WAITING if self._waits else 0.0
        target = min(max(_LEAST_SECONDS, _SHARE * spent, waiting), _MOST_SECONDS)
        target = max(target, workers / _CHUNKS_PER_SECOND)
        fitting = batches * target / max(seconds, 1e-9)
        self._size = max(1.0, min(fitting, 2 * max(batches, self._size)))
