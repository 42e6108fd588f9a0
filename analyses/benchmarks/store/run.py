"""What storing costs, how fast a million masks are opened, what a second worker gains, and what kills cost.

python analyses/benchmarks/store/run.py [open | overhead | scaling | noise | survival] ... [--write]

``--write`` puts what was measured into results.json, from which figure.py draws.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from games import Computing, Scores, embedded_game

import spex_mech as sm
from spex_mech.evaluation.executors import LocalExecutor
from spex_mech.evaluation.store.status import run_status
from spex_mech.evaluation.store.store import RunStore

HERE = Path(__file__).parent
SURVIVAL = HERE.parents[2] / "tests" / "integration" / "survival_runs.py"

_OPEN = """
import json, resource, sys, time
import numpy as np

steps = {}
def clock(what):
    global wall, cpu
    now = time.perf_counter(), time.process_time()
    steps[what] = [now[0] - wall, now[1] - cpu]
    wall, cpu = now

wall, cpu = time.perf_counter(), time.process_time()
from spex_mech.evaluation.stored_run import open_run
clock("imports")
run = open_run(sys.argv[1], metric="margin")
clock("open")
values = run.values
clock("margin")
half = run.with_metric("accuracy", examples=np.arange(0, 100, 2)).values
clock("accuracy on half of the examples")
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
print(json.dumps({"steps": steps, "memory": memory, "values": len(values)}))
"""


def open_million(folder: Path) -> dict[str, Any]:
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
    size = sum(path.stat().st_size for path in folder.rglob("*.parquet")) / 2**30
    print(f"written: {size:.2f} GiB in 200 shards, {time.perf_counter() - began:.1f} s")
    found = []
    for _ in range(2):
        command = [sys.executable, "-c", _OPEN, folder]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout))
        steps = (f"{k} {w:.1f} s ({c:.1f} of CPU)" for k, (w, c) in found[-1]["steps"].items())
        print(
            f"{', '.join(steps)}; peak memory {found[-1]['memory']:.2f} GiB; {load()}", flush=True
        )
    return {"GiB": size, "runs": found}


def overhead(folder: Path, *, seconds: float = 35.0, pairs: int = 3) -> dict[str, Any]:
    """Stored against in memory, in turns in one process: a computing game and the embedded model."""
    results = {}
    for name, game in (("computing", Computing(25)), ("embedded", embedded_game(20))):
        probe = sm.designs.biased(game.players.n, 128, keep_rate=0.7, seed=1)
        began = time.perf_counter()
        sm.evaluate(game, probe, progress=False)
        each = (time.perf_counter() - began) / len(probe)
        count = 64 * int(np.ceil(seconds / each / 64))
        design = sm.designs.biased(game.players.n, count, keep_rate=0.7, seed=0)
        print(f"{name}: {count} masks, about {1e3 * each:.1f} ms each", flush=True)
        found = []
        for turn in range(pairs):
            took = {}
            for stored in (turn % 2 == 0, turn % 2 == 1):
                store = folder / f"{name}{turn}" if stored else None
                with clocked(type(game), "scores", "values_from_scores") as spent:
                    sm.evaluate(game, design, store=store, progress=False)
                took[stored] = spent
            found.append(
                {"stored": took[True], "in memory": took[False], "load": os.getloadavg()[0]}
            )
            for kind, (wall, cpu, game_wall, game_cpu) in (
                ("stored", took[True]),
                ("in memory", took[False]),
            ):
                print(
                    f"  {kind}: {wall:.2f} s, {wall / game_wall - 1:.2%} more than the game; {cpu:.2f} "
                    f"of CPU, {cpu / game_cpu - 1:.2%} more; {load()}",
                    flush=True,
                )
        results[name] = {"masks": count, "pairs": found, **summary(found)}
        print(f"{name}: {summary(found)}")
    return results


def summary(pairs: list[dict[str, Any]]) -> dict[str, float]:
    """Medians of what storing adds to a run, as shares.

    ``by pairs`` divides a stored run by its neighbour in memory; ``outside the game`` compares what
    the two spend beside the game's own calls, which a busy machine disturbs far less.
    """
    runs = np.array([[pair["stored"], pair["in memory"]] for pair in pairs])
    total, own = runs[:, :, :2], runs[:, :, 2:]
    outside = (total / own)[:, 0] - (total / own)[:, 1]
    wall, cpu = np.median(total[:, 0] / total[:, 1] - 1, axis=0)
    outside_wall, outside_cpu = np.median(outside, axis=0)
    return {
        "wall-clock by pairs": float(wall),
        "CPU by pairs": float(cpu),
        "wall-clock outside the game": float(outside_wall),
        "CPU outside the game": float(outside_cpu),
    }


@contextmanager
def clocked(owner: type, *methods: str) -> Iterator[list[float]]:
    """Wall-clock and CPU seconds of a block, and of them those inside a class's methods."""
    inside = [0.0, 0.0]

    def timed(function):
        def call(*args, **kwargs):
            began = time.perf_counter(), time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                inside[0] += time.perf_counter() - began[0]
                inside[1] += time.process_time() - began[1]

        return call

    plain = {name: getattr(owner, name) for name in methods}
    spent: list[float] = []
    for name, method in plain.items():
        setattr(owner, name, timed(method))
    began = time.perf_counter(), time.process_time()
    try:
        yield spent
    finally:
        spent += [time.perf_counter() - began[0], time.process_time() - began[1], *inside]
        for name, method in plain.items():
            setattr(owner, name, method)


def scaling(folder: Path, *, sizes: tuple[int, int] = (320, 960)) -> dict[str, Any]:
    """One and two worker processes: what starting them takes, and their rate from there on."""
    results = {}
    games = (("waiting, as for a device", Scores(0.02)), ("computing", Computing(60)))
    for name, game in games:
        times, values = {}, {}
        for workers, count in [(w, n) for _ in range(2) for n in sizes for w in (1, 2)]:
            design = sm.designs.uniform(game.players.n, count, seed=0)
            # A worker that is a process in both cases, so that both have the same to start.
            executor = LocalExecutor(devices=("",) * workers, threads=1)
            began, cpu = time.perf_counter(), sum(os.times()[:4])
            run = sm.evaluate(game, design, batch=16, executor=executor, progress=False)
            seconds = time.perf_counter() - began
            times[workers, count] = min(seconds, times.get((workers, count), np.inf))
            values.setdefault(count, set()).add(run.values.tobytes())
            print(
                f"{name}: {workers} workers, {count} masks: {seconds:.2f} s "
                f"({sum(os.times()[:4]) - cpu:.1f} of CPU), {load()}",
                flush=True,
            )
        few, many = sizes
        each = {w: (times[w, many] - times[w, few]) / (many - few) for w in (1, 2)}
        start = {w: times[w, few] - few * each[w] for w in (1, 2)}
        print(
            f"{name}: 1 to 2 workers x {each[1] / each[2]:.2f} ({1e3 * each[1]:.1f} and "
            f"{1e3 * each[2]:.1f} ms per mask) after {start[1]:.1f} and {start[2]:.1f} s of starting; "
            f"same bytes: {all(len(found) == 1 for found in values.values())}"
        )
        results[name] = {
            "times": [[w, n, t] for (w, n), t in times.items()],
            "gain": each[1] / each[2],
            "start": [start[1], start[2]],
        }
    return results


def noise(folder: Path) -> dict[str, Any]:
    """How far scores of the embedded model move with the batch, in float32 and bfloat16."""
    import torch

    design = sm.designs.biased(32, 16, keep_rate=0.7, seed=0)
    masks, exact, results = design.masks, {}, {}
    # Of few questions several masks go through the model together, of many each alone.
    kinds = [(d, "fast", q) for d in (torch.float32, torch.bfloat16) for q in (12, 1)]
    for dtype, engine, questions in [*kinds, (torch.bfloat16, "reference", 12)]:
        game = embedded_game(questions, dtype, engine)
        name = f"{str(dtype).removeprefix('torch.')}, {engine} engine, {questions} questions"
        together = game.scores(masks)
        alone = np.concatenate([game.scores(mask[None]) for mask in masks])
        fours = np.concatenate([game.scores(masks[i : i + 4]) for i in range(0, 16, 4)])
        worst = [float(np.abs(together - x).max()) for x in (game.scores(masks), fours, alone)]
        values = [game.values_from_scores(x) for x in (together, alone)]
        moved = float(np.abs(values[0] - values[1]).max())
        store = folder / name
        sm.evaluate(game, design, store=store, progress=False)
        (recorded,) = run_status(store)
        away = float(np.abs(together - exact.setdefault(questions, together)).max())
        print(
            f"{name}: scores of up to {np.abs(together).max():.1f} differ between 16 masks at once and "
            f"the same again {worst[0]:.1e}, fours {worst[1]:.1e}, one by one {worst[2]:.1e} (values "
            f"{moved:.1e}); from float32 {away:.1e}; recorded floor {recorded.noise_floor}",
            flush=True,
        )
        results[name] = {"recorded": recorded.noise_floor, "worst": worst, "away": away}
    return results


def survival(folder: Path) -> dict[str, Any]:
    """Twenty kills at random moments, by the test's own script; see there for what is checked."""
    folder.mkdir()
    command = [sys.executable, SURVIVAL, "random", folder]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    print(out)
    kills = re.findall(r"kill \d+: (\d+) evaluated, (\d+) stored", out)
    ended = re.search(r"evaluated (\d+) for (\d+) distinct masks", out)
    return {"kills": [[int(a), int(b)] for a, b in kills], "evaluated": int(ended[1])}


def load() -> str:
    """How busy the machine is."""
    return f"load {os.getloadavg()[0]:.1f}"


if __name__ == "__main__":
    parts = {
        "open": open_million,
        "overhead": overhead,
        "scaling": scaling,
        "noise": noise,
        "survival": survival,
    }
    wanted = [name for name in sys.argv[1:] if name != "--write"]
    file = HERE / "results.json"
    for name in wanted or parts:
        print(f"== {name}", flush=True)
        with tempfile.TemporaryDirectory() as temporary:
            result = parts[name](Path(temporary) / "store")
        if "--write" in sys.argv:
            known = json.loads(file.read_text()) if file.exists() else {}
            file.write_text(json.dumps({**known, name: result}, indent=1) + "\n")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory of this process {memory:.2f} GiB")
