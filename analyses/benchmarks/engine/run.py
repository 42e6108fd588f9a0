"""How many ablations per second: the engine, the TransformerLens loop and the plain loop, interleaved."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import gc
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from flops import attainable, counted, now
from prototype import prototype_loop
from shapes import SHAPES, Setting, Shape, model_of, prompts_of, prompts_of_task, settings
from sides import lens_loop, plain_loop

import spex_mech as sm
from spex_mech import ablation


def main() -> None:
    """Measure what was asked for and write ``results/<name>.json`` and ``.md``."""
    options = _options()
    torch.set_num_threads(1)
    dtype = getattr(torch, options.dtype)
    rows = []
    for name in options.shapes:
        shape = SHAPES[name]
        model = model_of(shape, options.device, dtype)
        for number in options.settings:
            setting = settings(shape.layers)[number]
            row = {"shape": name, "setting": number, "title": setting.title}
            row |= measure(model, shape, setting, options)
            rows.append(row)
            print(_line(row), flush=True)
        del model
        gc.collect()
    HERE.joinpath("results").mkdir(exist_ok=True)
    target = HERE / "results" / f"{options.name}.json"
    target.write_text(json.dumps({"options": vars(options), "rows": rows}, indent=1) + "\n")
    target.with_suffix(".md").write_text(_table(rows))


def measure(model: sm.Model, shape: Shape, setting: Setting, options: argparse.Namespace) -> dict:
    """Seconds per mask of every side, medians of interleaved repetitions, and their largest difference."""
    if options.task is None:
        prompts = prompts_of(setting, options.questions, shape.vocabulary, seed=1)
    else:
        prompts = prompts_of_task(model, options.task, options.questions)
    players = sm.select_players(model, setting.players)
    count = options.masks or setting.masks
    masks = np.random.default_rng(2).random((count, players.n)) < options.keep
    loops: dict[str, Callable] = {"plain": plain_loop(model, prompts, players)}
    if not options.skip_lens:
        loops["lens"] = lens_loop(model, prompts, players)
    loops["prototype"] = prototype_loop(model, prompts, players)
    if setting.shots:
        del loops[
            "prototype"
        ]  # nothing is kept before layer 0, and the padding is the plain loop's
    for loop in loops.values():
        loop(masks[0])
    seconds: dict[str, list[float]] = {side: [] for side in (*loops, "ours", "prepare")}
    apart, peak, rates = {}, {}, []
    for repetition in range(options.repetitions):
        chosen = [(repetition * options.each + i) % count for i in range(options.each)]
        found = {}
        for side, loop in loops.items():
            with _Memory(options.device, peak, side):
                began = now(options.device)
                found[side] = np.stack([loop(masks[i]) for i in chosen])
                seconds[side].append((now(options.device) - began) / len(chosen))
        with _Memory(options.device, peak, "ours"):
            began = now(options.device)
            engine = ablation.FastEngine(model, prompts, players, ablation.zero())
            engine.scores(masks[:1])
            first = now(options.device)
            ours = engine.scores(masks)
            seconds["ours"].append((now(options.device) - first) / count)
            seconds["prepare"].append(first - began - seconds["ours"][-1])
        rates.append(attainable(options.device, model.dtype, shape.hidden, shape.inner, 1_024))
        for side, theirs in found.items():
            gap = float(np.abs(ours[chosen] - theirs).max())
            apart[side] = max(apart.get(side, 0.0), gap)
    close = max(
        1e-4, 5e-5 * float(np.abs(ours).max())
    )  # a trained model is deep and its logits large
    if options.dtype == "float32" and max(apart.values()) > close:
        raise SystemExit(f"the sides differ: {apart}")
    work = counted(lambda: engine.scores(masks)) / count
    return {
        "seconds": {side: float(np.median(s)) for side, s in seconds.items()},
        "largest_score": float(np.abs(ours).max()),
        "apart": apart,
        "rate": float(np.median(rates)),
        "peak": peak,
        "operations": work,
        "tokens": sum(len(t) for t in prompts.tokens),
        "targets": setting.targets.get(_name(shape), (None, None)),
    } | ({"profile": _profile(engine, masks)} if options.profile else {})


class _Memory:
    """Note the peak of a side: allocated on a GPU, resident beyond the start on a CPU."""

    def __init__(self, device: str, peak: dict[str, float], side: str) -> None:
        self._device, self._peak, self._side = device, peak, side

    def __enter__(self) -> None:
        gc.collect()
        if self._device == "cpu":
            Path("/proc/self/clear_refs").write_text("5")  # peak := what is resident now
        else:
            torch.cuda.reset_peak_memory_stats()

    def __exit__(self, *error: object) -> None:
        if self._device == "cpu":
            status = Path("/proc/self/status").read_text()
            found = next(s for s in status.splitlines() if s.startswith("VmHWM"))
            peak = int(found.split()[1]) * 1_024
        else:
            peak = torch.cuda.max_memory_allocated()
        self._peak[self._side] = max(self._peak.get(self._side, 0), peak)


def _profile(engine: ablation.FastEngine, masks: np.ndarray) -> list[tuple[str, float]]:
    """Share of the time of the costliest operators."""
    from torch.profiler import ProfilerActivity, profile

    kinds = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        kinds.append(ProfilerActivity.CUDA)
    with profile(activities=kinds) as found:
        engine.scores(masks[:8])
    events = found.key_averages()
    on_gpu = ProfilerActivity.CUDA in kinds

    def own(event) -> float:
        return event.self_device_time_total if on_gpu else event.self_cpu_time_total

    total = sum(own(e) for e in events)
    return [(e.key, own(e) / total) for e in sorted(events, key=own, reverse=True)[:10]]


def _name(shape: Shape) -> str:
    return next(name for name, s in SHAPES.items() if s == shape)


def _of_64(seconds: dict[str, float]) -> float:
    """Seconds per mask of a run of 64, preparation included."""
    return seconds["ours"] + seconds["prepare"] / 64


def _line(row: dict) -> str:
    s = row["seconds"]
    sides = ", ".join(
        f"{s[side] / s['ours']:.1f} x {side} ({s[side] / _of_64(s):.1f} with preparation)"
        for side in ("plain", "lens", "prototype")
        if side in s
    )
    share = row["operations"] / s["ours"] / row["rate"]
    return (
        f"{row['shape']} setting {row['setting']}: {1 / s['ours']:.2f} masks/s, "
        f"{row['tokens'] / s['ours']:.0f} tokens/s, {sides}, {share:.0%} of the matrix rate"
    )


def _table(rows: list[dict]) -> str:
    head = (
        "| shape | setting | ours, masks/s | tokens/s | × plain (target) | × TransformerLens (target) "
        "| × prototype | share of matrix rate | peak MiB ours / plain / lens | largest difference |\n"
    )
    lines = [head, "|---" * 10 + "|\n"]
    for row in rows:
        s, (plain, lens) = row["seconds"], row["targets"]

        def ratio(side: str, target: float | None, s: dict = s) -> str:
            if side not in s:
                return "–"
            wanted = "" if target is None else f" (≥ {target:g})"
            return f"{s[side] / _of_64(s):.1f} / {s[side] / s['ours']:.1f}{wanted}"

        peaks = " / ".join(
            f"{row['peak'][side] / 2**20:.0f}" if side in row["peak"] else "–"
            for side in ("ours", "plain", "lens")
        )
        lines.append(
            f"| {row['shape']} | {row['setting']} {row['title']} | {1 / s['ours']:.2f} "
            f"| {row['tokens'] / s['ours']:.0f} | {ratio('plain', plain)} | {ratio('lens', lens)} "
            f"| {ratio('prototype', None)} | {row['operations'] / s['ours'] / row['rate']:.0%} "
            f"| {peaks} | {max(row['apart'].values()):.0e} |\n"
        )
    for row in rows:
        if "profile" in row:
            parts = ", ".join(f"{name} {share:.0%}" for name, share in row["profile"])
            lines.append(f"\nProfile of {row['shape']} setting {row['setting']}: {parts}.\n")
    return "".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--device", default="cpu")
    add("--dtype", default="float32", choices=["float32", "bfloat16", "float16"])
    add("--shapes", nargs="+", default=["128", "512"], choices=list(SHAPES))
    add("--settings", nargs="+", type=int, default=[1, 2, 3, 4])
    add("--questions", type=int, default=8)
    add("--task", help="a card whose questions stand for the random ones, with a checkpoint")
    add("--masks", type=int, help="masks that ours scores in a repetition; default the setting's")
    add("--each", type=int, default=2, help="masks of each slow loop in a repetition")
    add("--repetitions", type=int, default=3)
    add("--keep", type=float, default=0.5, help="chance of a head to stay")
    add("--skip-lens", action="store_true")
    add("--profile", action="store_true")
    add("--name", default="cpu", help="name of the files in results/")
    options = parser.parse_args()
    if options.task is not None and (
        3 in options.settings or any(SHAPES[s].checkpoint is None for s in options.shapes)
    ):
        parser.error(
            "--task needs shapes with a checkpoint, and settings other than 3, which has shots of its own"
        )
    return options


if __name__ == "__main__":
    main()
