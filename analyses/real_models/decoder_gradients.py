"""Do gradients in the decoder give better kept sets, for the same answers? See the README beside this file.

python analyses/real_models/decoder_gradients.py --tasks ioi agreement greater_than --seeds 0 1

A run takes the gradients of the margin before its masks, which cost as much as four ablations; the run
without them has four ablations more for its masks. A pair of runs is a file under ``--out``, and is not
measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
import torch
from proposals import TASKS, mean_text

from spex_mech.core.estimates import paired_difference
from spex_mech.run.decode import decode_folder
from spex_mech.run.gradients import gradients_cost
from spex_mech.run.opening import claim
from spex_mech.run.setup import prepare
from spex_mech.run.spec_file import read_spec
from spex_mech.run.steps import evaluate_step, prune_step

HERE = Path(__file__).parent
WITH, WITHOUT = "with gradients", "without"
METRICS = ("margin", "accuracy")
BUDGET = 48  # masks, as if each were asked all of the 60 questions


def main() -> None:
    """Run what is missing, and write the table of all that is there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tasks", nargs="*", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--budget", type=int, default=BUDGET)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="of sizes.toml"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/decoder_gradients"))
    parser.add_argument("--results", type=Path, default=HERE)
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    for seed in args.seeds:
        for task in args.tasks:
            file = args.out / f"{task}_{seed}.jsonl"
            if not file.exists():
                settings = [f"model={args.model}", f"task={TASKS[task]}", f"design.seed={seed}"]
                settings += [f"prune.seed={seed}", "prune.export=none", "prune.baselines=[]"]
                settings += ["game.examples=60", "design.questions=auto", "design.check=8"]
                settings += ["prune.ablations=8", *args.set]
                lines = list(searched(settings, task, seed, args.budget, args.out))
                file.write_text("\n".join(map(json.dumps, lines)) + "\n", encoding="utf-8")
    rows = [
        json.loads(line)
        for file in sorted(args.out.glob("*.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    table = "\n".join(table_lines(rows)) + "\n"
    (args.results / "decoder_gradients.md").write_text(table, encoding="utf-8")
    print(table)


def searched(
    settings: Sequence[str], task: str, seed: int, budget: int, out: Path
) -> Iterator[dict]:
    """Kept sets of every size with and without gradients, and their scores on the test questions."""
    for name in (WITH, WITHOUT):
        own = [f"decode.gradients={str(name == WITH).lower()}", f"design.budget={budget}"]
        setup = prepare(read_spec(HERE / "sizes.toml", [*settings, *own]), pruning=True)
        budget += gradients_cost(setup.spec.decode, setup.players.n)  # for the run without
        folder = claim(out / f"{task}_{seed}_{name.split()[0]}", setup.spec)
        began = time.process_time()
        evaluate_step(setup, folder, progress=False)
        decoded = decode_folder(folder)
        kept = prune_step(setup, folder, decoded, progress=False)
        spent = time.process_time() - began
        test = setup.game.with_split("test")
        for one in kept:
            scores = test.scores(one.mask[None])
            found = {m: test.per_example(scores, metric=m)[0].tolist() for m in METRICS}
            row = {"task": task, "seed": seed, "decoder": name, "keep": one.keep}
            row |= {"ablations": one.ablations, "cpu": round(spent, 1)}
            print(row, *(round(np.mean(v), 3) for v in found.values()), flush=True)
            yield row | found


def table_lines(rows: Sequence[dict]) -> Iterator[str]:
    """Markdown tables: every pair of runs, and means over the pairs."""
    cells: dict[tuple, dict[str, dict]] = {}
    for row in rows:
        cells.setdefault((row["task"], row["seed"], row["keep"]), {})[row["decoder"]] = row
    columns = [f"{WITHOUT}: margin", "accuracy", "margin gained by gradients", "accuracy gained"]
    yield f"| task, seed | heads kept | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 2) + "|"
    for task, seed, keep in sorted(cells, key=lambda c: (c[0], c[1], -c[2])):
        found, line = cells[task, seed, keep], f"| {task}, {seed} | {keep} |"
        for metric, form in zip(METRICS, (".2f", ".3f"), strict=True):
            line += f" {np.mean(found[WITHOUT][metric]):{form}} |"
        for metric in METRICS:
            a, b = (np.array(found[name][metric]) for name in (WITH, WITHOUT))
            gain = paired_difference(a, b, seed=0)
            line += f" {gain.mean:+.2f} [{gain.low:+.2f}, {gain.high:+.2f}] |"
        yield line
    yield ""
    yield "Means over pairs of runs, with 95 % intervals over these (Student's t):"
    yield ""
    yield f"| heads kept | pairs | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 2) + "|"
    for keep in sorted({cell[2] for cell in cells}, reverse=True):
        same = [found for cell, found in cells.items() if cell[2] == keep]
        means = {
            (name, m): np.array([np.mean(found[name][m]) for found in same])
            for name in (WITH, WITHOUT)
            for m in METRICS
        }
        line = f"| {keep} | {len(same)} | {means[WITHOUT, 'margin'].mean():.2f} | "
        line += f"{means[WITHOUT, 'accuracy'].mean():.3f} | "
        yield (
            line + " | ".join(mean_text(means[WITH, m] - means[WITHOUT, m]) for m in METRICS) + " |"
        )


if __name__ == "__main__":
    main()
