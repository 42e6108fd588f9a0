"""What storing costs, how fast a million masks are opened, and what a second worker gains.

python analyses/benchmarks/store/run.py [open | overhead | scaling | noise] ...
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np

import spex_mech as sm
from spex_mech.executors import LocalExecutor
from spex_mech.store import RunStore

_OPEN = """
import resource, sys, time
import numpy as np

def clock(what):
    global wall, cpu
    now = time.perf_counter(), time.process_time()
    print(f"{what} {now[0] - wall:.1f} s ({now[1] - cpu:.1f} s of CPU)", end=", ")
    wall, cpu = now

wall, cpu = time.perf_counter(), time.process_time()
from spex_mech.stored_run import open_run
clock("imports")
run = open_run(sys.argv[1], metric="margin")
clock("open")
values = run.values
clock("margin")
half = run.with_metric("accuracy", examples=np.arange(0, 100, 2)).values
clock("accuracy on half of the examples")
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(f"peak memory {memory:.2f} GiB; {len(values):,} values")
"""


class Scores:
    """Scores like those of 100 two-choice questions and 64 players, without a model."""

    metric = SimpleNamespace(name="margin")
    task = SimpleNamespace(name="random scores", examples=())
    prompts = SimpleNamespace(
        ids=tuple(str(i) for i in range(100)),
        tokens=((0,) * 400,) * 100,
        right=np.zeros(100, dtype=np.int64),
        answers=np.tile([1, 2], (100, 1)),
        options=None,
        lengths=None,
    )
    fingerprint = "random scores"

    def __init__(self, seconds: float = 0.0) -> None:
        self.players = sm.PlayerSet.from_names(f"p{i}" for i in range(64))
        self.seconds = seconds

    def scores(self, masks):
        """Random scores (m, 100, 2)."""
        if self.seconds:
            time.sleep(self.seconds * len(masks))
        rng = np.random.default_rng(int(masks[0].sum()))
        return rng.standard_normal((len(masks), 100, 2), dtype=np.float32)

    def values_from_scores(self, scores):
        """Mean margins (m,)."""
        return (scores[..., 0] - scores[..., 1]).mean(axis=1, dtype=np.float64)

    def __call__(self, masks):
        """Values (m,)."""
        return self.values_from_scores(self.scores(masks))


def open_million(folder: Path) -> None:
    """Write 1,000,000 masks x 100 examples (x 2 answers) and reduce them in a fresh process."""
    game, rng = Scores(), np.random.default_rng(0)
    seed_design = sm.MaskDesign(np.ones((1, 64), dtype=bool), 0)
    sm.evaluate(game, seed_design, store=folder, progress=False)
    began = time.perf_counter()
    with RunStore(folder, {"fingerprint": game.fingerprint}, 64) as store:
        for _ in range(200):
            masks = rng.random((5000, 64)) < 0.5
            scores = game.scores(masks)
            store.append(masks, game.values_from_scores(scores), scores)
    size = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
    print(f"written: {size / 2**30:.2f} GiB in 200 shards, {time.perf_counter() - began:.1f} s")
    for _ in range(2):
        subprocess.run([sys.executable, "-c", _OPEN, folder], check=True)


def overhead(folder: Path) -> None:
    """Wall-clock of a game that takes 5 ms a mask, stored and in memory, in turns."""
    design = sm.designs.uniform(64, 2000, seed=0)
    game = Scores(0.005)
    ratios = []
    for turn in range(3):
        times = {}
        for stored in (turn % 2 == 0, turn % 2 == 1):
            began = time.perf_counter()
            store = folder / f"turn{turn}" if stored else None
            sm.evaluate(game, design, store=store, progress=False)
            times[stored] = time.perf_counter() - began
        ratios.append(times[True] / times[False] - 1)
        print(f"stored {times[True]:.2f} s, in memory {times[False]:.2f} s: {ratios[-1]:+.2%}")
    print(f"overhead of storing: median {np.median(ratios):+.2%} of {len(ratios)} pairs")


class Burn:
    """A game that keeps a processor busy: a fixed number of small matrix products a mask."""

    fingerprint = "burn"

    def __init__(self, work: int) -> None:
        self.players = sm.PlayerSet.from_names(f"p{i}" for i in range(32))
        self.work, self.matrix = work, np.random.default_rng(0).normal(size=(96, 96)) / 10

    def __call__(self, masks):
        """Values (m,)."""
        out = np.empty(len(masks))
        for i, mask in enumerate(masks):
            x = self.matrix[:, :32] @ np.diag(mask * 1.0)
            for _ in range(self.work):
                x = np.tanh(self.matrix @ x)
            out[i] = x.sum()
        return out


def scaling(folder: Path) -> None:
    """One and two worker processes, on a game that computes and on one that waits as for a device."""
    for name, game, count in (("computing", Burn(100), 800), ("waiting", Scores(0.01), 800)):
        design = sm.designs.uniform(game.players.n, count, seed=0)
        found = {}
        for workers in (1, 2, 1, 2):
            cpu = sum(os.times()[:4])
            began = time.perf_counter()
            executor = LocalExecutor(workers=workers, threads=1)
            run = sm.evaluate(game, design, batch=16, executor=executor, progress=False)
            seconds = time.perf_counter() - began
            found.setdefault(workers, []).append((seconds, run.values))
            print(
                f"{name}: {workers} workers {seconds:.2f} s ({sum(os.times()[:4]) - cpu:.1f} s of CPU)"
            )
        best = {workers: min(s for s, _ in runs) for workers, runs in found.items()}
        same = found[1][0][1].tobytes() == found[2][0][1].tobytes() if name == "computing" else None
        print(f"{name}: 1 to 2 workers x {best[1] / best[2]:.2f}; same bytes: {same}")


def noise(folder: Path) -> None:
    """How far scores of the embedded model move with the batch, in float32 and bfloat16."""
    import torch

    for dtype in (torch.float32, torch.bfloat16):
        model = sm.load_model("embedded", dtype=dtype)
        task = sm.load_task("embedded/people").first(12)
        game = sm.TaskGame(model, task, sm.select_players(model, "heads"))
        masks = sm.designs.biased(32, 16, keep_rate=0.7, seed=0).masks
        together = game.scores(masks)
        alone = np.concatenate([game.scores(mask[None]) for mask in masks])
        fours = np.concatenate([game.scores(masks[i : i + 4]) for i in range(0, 16, 4)])
        again = game.scores(masks)
        worst = [float(np.abs(together - other).max()) for other in (again, fours, alone)]
        print(
            f"{dtype}: same batches {worst[0]:.1e}, fours {worst[1]:.1e}, one by one {worst[2]:.1e}"
        )


if __name__ == "__main__":
    parts = {"open": open_million, "overhead": overhead, "scaling": scaling, "noise": noise}
    for name in sys.argv[1:] or parts:
        print(f"== {name}", flush=True)
        with tempfile.TemporaryDirectory() as temporary:
            parts[name](Path(temporary) / "store")
    print(
        f"peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB"
    )
