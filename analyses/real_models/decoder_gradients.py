"""Do gradients in the decoder give better kept sets, for the same answers? See the README beside this file.

python analyses/real_models/decoder_gradients.py --tasks ioi agreement greater_than --seeds 0 1

A run takes the gradients of the margin before its masks, which cost as much as four ablations; the run
without them has four ablations more for its masks. A pair of runs is a file under ``--out``, and is not
measured again.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np
from proposals import kept_rows, mean_text, options

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
SETTINGS = (
    "game.examples=60",
    "design.questions=auto",
    "design.budget=48",  # as if each mask were asked all of the 60 questions
    "design.check=8",
    "prune.ablations=8",
    "prune.baselines=[]",
)


def main() -> None:
    """Run what is missing, and write the table of all that is there."""
    args = options(__doc__ or "", Path("runs/decoder_gradients")).parse_args()
    table = "\n".join(table_lines(kept_rows(args, SETTINGS, searched))) + "\n"
    (args.results / "decoder_gradients.md").write_text(table, encoding="utf-8")
    print(table)


def searched(settings: Sequence[str], task: str, seed: int, out: Path) -> Iterator[dict]:
    """Kept sets of every size with and without gradients, and their scores on the test questions."""
    more: list[str] = []
    for name in (WITH, WITHOUT):
        own = [*settings, f"decode.gradients={str(name == WITH).lower()}", *more]
        spec = read_spec(HERE / "sizes.toml", own)
        setup = prepare(spec, pruning=True)
        budget = spec.design.budget + gradients_cost(spec.decode, setup.players.n)
        more = [f"design.budget={budget}"]  # for the run without
        folder = claim(out.with_name(f"{out.name}_{name.split()[0]}"), spec)
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
