"""What rankings add to the search of kept sets, at equal ablations; see the README beside this file.

python analyses/real_models/proposals.py --tasks ioi agreement greater_than --seeds 0 1
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import torch
from jaxtyping import Float64
from scipy.stats import sem, t

from spex_mech.core.estimates import paired_difference
from spex_mech.decoders.decode import decode
from spex_mech.evaluation.wrappers import Metered, Recorded, Remembered
from spex_mech.pruning.curve import prune_curve
from spex_mech.pruning.methods import model as model_methods
from spex_mech.run.decode import Decoded, decode_folder
from spex_mech.run.opening import claim
from spex_mech.run.setup import Setup, prepare
from spex_mech.run.spec_file import read_spec
from spex_mech.run.steps import evaluate_step

HERE = Path(__file__).parent
TASKS = {"ioi": "circuits/ioi"} | {
    name: str(HERE / "tasks" / f"{name}.toml") for name in ("agreement", "greater_than")
}
NONE, LASSO, GRADIENTS, BOTH = "nothing", "LASSO", "gradients", "LASSO and gradients"


def main() -> None:
    """Run what is missing, and write the table of all that is there."""
    args = options(__doc__ or "", Path("runs/proposals")).parse_args()
    table = "\n".join(table_lines(kept_rows(args, [], searched))) + "\n"
    (args.results / "proposals.md").write_text(table, encoding="utf-8")


def options(doc: str, out: Path) -> argparse.ArgumentParser:
    """The command line of a script that compares searches, one for each task and seed."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--tasks", nargs="*", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="of sizes.toml"
    )
    parser.add_argument("--out", type=Path, default=out)
    parser.add_argument("--results", type=Path, default=HERE)
    return parser


def kept_rows(
    args: argparse.Namespace,
    settings: Sequence[str],
    search: Callable[[Sequence[str], str, int, Path], Iterator[dict]],
) -> list[dict]:
    """Rows of all searches below ``--out``, after those that are asked for and missing.

    Args:
        args: see `options`.
        settings: of sizes.toml, before those of the command line.
        search: gives the rows of a task and seed, from settings and a folder for its runs.
    """
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    for seed in args.seeds:
        for task in args.tasks:
            file = args.out / f"{task}_{seed}.jsonl"
            if not file.exists():
                own = [f"model={args.model}", f"task={TASKS[task]}", f"design.seed={seed}"]
                own += [f"prune.seed={seed}", "prune.export=none", *settings, *args.set]
                lines = list(search(own, task, seed, args.out / f"run_{task}_{seed}"))
                file.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    return [
        json.loads(line)
        for file in sorted(args.out.glob("*.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]


def searched(settings: Sequence[str], task: str, seed: int, out: Path) -> Iterator[dict]:
    """Kept sets of every size by each variant of the search, and their scores on the test questions."""
    spec = read_spec(HERE / "sizes.toml", settings)
    setup = prepare(spec, pruning=True)
    folder = claim(out, spec)
    evaluate_step(setup, folder, progress=False)
    decoded = decode_folder(folder)
    asked = Remembered(Recorded(setup.game, folder.masks, False, "pruning"))
    known = replace(decoded.run, key=None)  # that of the game inside the wrappers
    test, scored = setup.game.with_split("test"), {}
    for name, rankings, cost in variants(setup, decoded, seed):
        meter = Metered(asked, setup.budget)
        meter.count_run(decoded.run)
        meter.spend(cost)
        began = time.process_time()
        curve = prune_curve(
            meter,
            decoded.spectrum,
            keeps=setup.sizes,
            validate=meter.left,
            known=known,
            rankings=rankings,
            seed=seed,
        )
        seconds = time.process_time() - began
        for kept in curve.points:
            key = kept.mask.tobytes()
            if key not in scored:
                scores = test.scores(kept.mask[None])
                scored[key] = {
                    metric: test.per_example(scores, metric=metric)[0].tolist()
                    for metric in ("margin", "accuracy")
                }
            row = {"task": task, "seed": seed, "variant": name, "keep": int(kept.mask.sum())}
            row |= {"ablations": meter.spent, "cpu": round(seconds, 1), "search": kept.measured}
            print(row, *(round(np.mean(v), 3) for v in scored[key].values()), flush=True)
            yield row | scored[key]


def variants(
    setup: Setup, decoded: Decoded, seed: int
) -> Iterator[tuple[str, Float64[np.ndarray, "r n"] | None, int]]:
    """Every variant: its name, the rankings that propose sets first, and the ablations that these cost."""
    run, n = decoded.run, setup.players.n
    first = decode(decoded.design, run, method="lasso", order=1, seed=seed)
    lasso = np.array([[-first[(i,)] for i in range(n)]])
    gradients = model_methods.gradient_rankings(setup.game)
    cost = model_methods.GRADIENTS_COST
    yield NONE, None, 0
    yield LASSO, lasso, 0
    yield BOTH, np.concatenate([lasso, gradients]), cost
    yield GRADIENTS, gradients, cost


def table_lines(rows: Sequence[dict]) -> Iterator[str]:
    """A Markdown table: margin and accuracy without proposals, and what each kind of proposals adds."""
    cells: dict[tuple, dict[str, dict]] = {}
    for row in rows:
        cells.setdefault((row["task"], row["seed"], row["keep"]), {})[row["variant"]] = row
    yield f"| task, seed | heads kept | {NONE}: margin, accuracy | {LASSO} | {GRADIENTS} | {BOTH} |"
    yield "|---|---|---|---|---|---|"
    for task, seed, keep in sorted(cells, key=lambda c: (c[0], c[1], -c[2])):
        found = cells[task, seed, keep]
        plain = found[NONE]
        line = f"| {task}, {seed} | {keep} | {np.mean(plain['margin']):.2f}, "
        line += f"{np.mean(plain['accuracy']):.3f} |"
        for name in (LASSO, GRADIENTS, BOTH):
            gain = paired_difference(
                np.array(found[name]["margin"]), np.array(plain["margin"]), seed=0
            )
            line += f" {gain.mean:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}] |"
        yield line
    yield ""
    yield "Means over tasks and seeds, with 95 % intervals over these (Student's t):"
    yield ""
    yield f"| heads kept | {NONE}: margin, accuracy | {LASSO} | {GRADIENTS} | {BOTH} |"
    yield "|---|---|---|---|---|"
    for keep in sorted({cell[2] for cell in cells}, reverse=True):
        same = [found for cell, found in cells.items() if cell[2] == keep]
        margins = {
            name: np.array([np.mean(found[name]["margin"]) for found in same])
            for name in (NONE, LASSO, GRADIENTS, BOTH)
        }
        accuracy = np.mean([np.mean(found[NONE]["accuracy"]) for found in same])
        gains = [mean_text(margins[name] - margins[NONE]) for name in (LASSO, GRADIENTS, BOTH)]
        yield f"| {keep} | {margins[NONE].mean():.2f}, {accuracy:.3f} | " + " | ".join(gains) + " |"


def mean_text(values: Float64[np.ndarray, " c"]) -> str:
    """A mean with its interval; of one value that alone."""
    if len(values) < 2:
        return f"{values[0]:+.2f}"
    low, high = t.interval(0.95, len(values) - 1, values.mean(), sem(values))
    return f"{values.mean():+.2f} [{low:+.2f}, {high:+.2f}]"


if __name__ == "__main__":
    main()
