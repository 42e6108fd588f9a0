"""Runs that are killed: a script that starts real processes, kills them and checks what they left.

``python survival_runs.py random FOLDER`` or ``python survival_runs.py everywhere FOLDER``. It forks, so it
is a process of its own, without threads.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

from spex_mech.designs import uniform
from spex_mech.evaluation.evaluate import evaluate
from spex_mech.evaluation.store.reading import read_blocks

BATCH = 4
_ENDED = os.WEXITED | os.WNOHANG | os.WNOWAIT
DESIGN = uniform(16, 600, seed=0)
WEIGHTS = np.random.default_rng(1).normal(size=16)


class Slow:
    """Sums of weights, some time per mask; writes down every mask that it is asked."""

    fingerprint = "sums of weights"

    def __init__(self, log: Path, seconds: float) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._seconds = seconds

    def __call__(self, masks):
        for mask in masks:
            os.write(self._log, np.packbits(mask).tobytes())
            time.sleep(self._seconds)
        return masks @ WEIGHTS


def start(store: Path, log: Path, *, seconds: float = 0.001, die_at: int | None = None) -> int:
    """Evaluate in a child; with ``die_at`` it kills itself at that step of writing to the disk."""
    child = os.fork()
    if child:
        return child
    try:
        if die_at is not None:
            die_at_step(die_at)
        evaluate(Slow(log, seconds), DESIGN, store=store, batch=BATCH, progress=False)
    except BaseException as error:
        print("child failed:", repr(error), flush=True)
        os._exit(1)
    os._exit(0)


def die_at_step(which: int) -> None:
    """Kill this process before its ``which``-th sync to disk, rename or new folder."""
    steps = 0

    def counted(function):
        def step(*args, **kwargs):
            nonlocal steps
            steps += 1
            if steps == which:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return step

    os.fsync = counted(os.fsync)
    os.replace = counted(os.replace)
    Path.mkdir = counted(Path.mkdir)


def asked(log: Path) -> list[bytes]:
    data = log.read_bytes() if log.exists() else b""
    return [data[i : i + 2] for i in range(0, len(data), 2)]


def stored(store: Path) -> tuple[list[bytes], int]:
    """Masks that are committed, and how many the last shard holds."""
    rows = [r.masks for _, r in read_blocks(store, 16) if r is not None]
    names = [np.packbits(mask).tobytes() for masks in rows for mask in masks]
    return names, len(rows[-1]) if rows else 0


def go_on(store: Path, log: Path, child: int, before: list[bytes]) -> bool:
    """Wait for a child, check what it left, and say whether it had been killed."""
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status)
    assert killed or status == 0, status
    now, last = stored(store)
    assert now[: len(before)] == before, "what was committed changed"
    assert len(set(now)) == len(now), "a mask is stored twice"
    this = asked(log)
    assert not set(this) & set(before), "a stored mask was evaluated again"
    assert len(set(this)) == len(this), "a mask was evaluated twice by one process"
    lost = [mask for mask in this if mask not in set(now)]
    most = 2 * last if len(now) > len(before) else BATCH
    assert len(lost) <= most, f"{len(lost)} lost, the chunk in flight has at most {most}"
    return killed


def finish(folder: Path, logs: int) -> None:
    """Evaluate the rest and compare with a run that was never stopped."""
    done = evaluate(Slow(folder / "last", 0), DESIGN, store=folder / "s", progress=False)
    whole = evaluate(Slow(folder / "whole", 0), DESIGN, batch=BATCH, progress=False)
    assert done.values.tobytes() == whole.values.tobytes()
    every = Counter(m for i in range(logs) for m in asked(folder / f"log{i}"))
    every.update(asked(folder / "last"))
    assert set(every) == set(asked(folder / "whole")), "a mask was never evaluated"
    print("evaluated", sum(every.values()), "for", len(every), "distinct masks")


def random_moments(folder: Path) -> None:
    rng = np.random.default_rng(20)
    kills = 0
    while kills < 20:
        before, _ = stored(folder / "s") if (folder / "s").exists() else ([], 0)
        log = folder / f"log{kills}"
        child = start(folder / "s", log)
        masks, seconds = rng.integers(40), rng.uniform(0, 0.02)  # whatever the machine's speed
        while len(asked(log)) < masks and os.waitid(os.P_PID, child, _ENDED) is None:
            time.sleep(0.0002)
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        assert go_on(folder / "s", log, child, before), "it was not killed"
        kills += 1
        now, _ = stored(folder / "s") if (folder / "s").exists() else ([], 0)
        print(f"kill {kills}: {len(asked(log))} evaluated, {len(now)} stored by now")
    print("kills", kills, "committed before the end", len(stored(folder / "s")[0]))
    finish(folder, kills)


def everywhere(folder: Path) -> None:
    steps = 0
    while True:
        before, _ = stored(folder / "s") if (folder / "s").exists() else ([], 0)
        child = start(folder / "s", folder / f"log{steps}", seconds=0, die_at=steps % 24 + 1)
        killed = go_on(folder / "s", folder / f"log{steps}", child, before)
        steps += 1
        if not killed:
            break
    print("kills", steps - 1)
    finish(folder, steps)


if __name__ == "__main__":
    {"random": random_moments, "everywhere": everywhere}[sys.argv[1]](Path(sys.argv[2]))
