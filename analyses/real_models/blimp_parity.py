"""BLiMP against lm-evaluation-harness on a trained model: the same sentences, the same log-probabilities.

The model is asked whole, and with a random mask that keeps 80 % of its heads; for the latter the harness
loads the checkpoint that `sm.export` wrote of it. The harness reads its own ``blimp_*`` tasks; only the
place of the data is changed. Ends with exit code 1 if an accuracy differs, or a log-probability by more
than 1e-3.
"""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import lm_eval
import numpy as np
import torch
import yaml
from lm_eval.tasks import TaskManager

import spex_mech as sm

HERE = Path(__file__).parent
TASKS = Path(lm_eval.__file__).parent / "tasks" / "blimp"
TOLERANCE = 1e-3  # of log-probabilities around −50 in float32
SETS = ("wh_island", "npi_present_1", "distractor_agreement_relative_clause")


@dataclass(frozen=True)
class Outcome:
    """What both say about one set.

    Attributes:
        model: what the table calls the model.
        name: the set.
        theirs: the harness's log-probabilities of the good and the bad sentence, (pairs, 2).
        ours: the fast engine's.
        reference: the reference engine's.
        accuracy: the ``acc`` that the harness reports.
    """

    model: str
    name: str
    theirs: np.ndarray
    ours: np.ndarray
    reference: np.ndarray
    accuracy: float

    @property
    def right(self) -> np.ndarray:
        """Which pairs are right here; of equal sentences the harness takes the first, the good one."""
        return self.ours[:, 0] >= self.ours[:, 1]

    @property
    def worst(self) -> tuple[float, float]:
        """Largest difference of a log-probability from theirs, by the fast and the reference engine."""
        fast, reference = (np.abs(x - self.theirs).max() for x in (self.ours, self.reference))
        return float(fast), float(reference)

    @property
    def agrees(self) -> bool:
        """Whether the accuracies are equal and all log-probabilities within the tolerance."""
        return max(self.worst) <= TOLERANCE and float(self.right.mean()) == self.accuracy

    @property
    def row(self) -> str:
        """The outcome as a row of the table."""
        same = int((self.right == (self.theirs[:, 0] >= self.theirs[:, 1])).sum())
        fast, reference = self.worst
        return (
            f"| {self.model} | {self.name} | {len(self.ours)} | {self.accuracy:.3f} | "
            f"{self.right.mean():.3f} | {same} | {fast:.1e} | {reference:.1e} |"
        )


def main() -> int:
    """Ask both about every set."""
    args = arguments()
    started = time.monotonic()
    model = sm.load_model(args.model, device="cpu", dtype=torch.float32)
    players = sm.select_players(model, "heads")
    full = np.ones(players.n, dtype=bool)
    kept = full.copy()
    gone = np.random.default_rng(args.seed).permutation(players.n)[: round(players.n / 5)]
    kept[gone] = False
    outcomes = []
    with tempfile.TemporaryDirectory() as scratch:
        data, pruned = Path(scratch) / "data", Path(scratch) / "pruned"
        for name in args.sets:
            shorten(args.data / f"{name}.jsonl", data / f"{name}.jsonl", args.pairs)
        sm.export(model, players, kept, pruned)
        whole = (f"full, {players.n} heads", args.model, full)
        part = (f"pruned, {kept.sum()} heads, exported", pruned, kept)
        for label, folder, mask in (whole, part):
            theirs = harness(folder, data, args.sets)
            for name in args.sets:
                task = sm.load_task(f"blimp/{name}", data=data)
                scores = [
                    sm.TaskGame(model, task, players, split="all", engine=engine).scores(mask[None])
                    for engine in ("fast", "reference")
                ]
                outcomes.append(
                    Outcome(
                        label, name, theirs[name][0], scores[0][0], scores[1][0], theirs[name][1]
                    )
                )
                print(outcomes[-1].row, flush=True)
    text = table(outcomes, args, time.monotonic() - started)
    if args.write:
        (HERE / "blimp_parity.md").write_text(text, encoding="utf-8")
    return 0 if all(outcome.agrees for outcome in outcomes) else 1


def shorten(source: Path, target: Path, pairs: int) -> None:
    """The first pairs of a published file."""
    target.parent.mkdir(exist_ok=True)
    rows = source.read_text(encoding="utf-8").split("\n")[:pairs]
    target.write_text("\n".join(rows) + "\n", encoding="utf-8")


def harness(folder: Path, data: Path, sets: Sequence[str]) -> dict[str, tuple[np.ndarray, float]]:
    """Of every set the harness's log-probabilities and its ``acc``, by its own task files."""
    names = {name: f"local_blimp_{name}" for name in sets}
    with tempfile.TemporaryDirectory() as cards:
        for name, local in names.items():
            card = {
                "include": str(TASKS / f"{name}.yaml"),
                "task": local,
                "dataset_path": "json",
                "dataset_name": None,
                "dataset_kwargs": {"data_files": {"train": str(data / f"{name}.jsonl")}},
            }
            (Path(cards) / f"{local}.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
        result = lm_eval.simple_evaluate(
            model="hf",
            model_args={"pretrained": str(folder), "dtype": "float32"},
            tasks=list(names.values()),
            task_manager=TaskManager(include_path=cards, include_defaults=False),
            batch_size=16,
            device="cpu",
            bootstrap_iters=0,
            log_samples=True,
            verbosity="ERROR",
        )
    answers = {}
    for name, local in names.items():
        samples = sorted(result["samples"][local], key=lambda sample: sample["doc_id"])
        logprobs = np.array([[float(r[0][0]) for r in sample["resps"]] for sample in samples])
        answers[name] = (logprobs, float(result["results"][local]["acc,none"]))
    return answers


def table(outcomes: Sequence[Outcome], args: argparse.Namespace, seconds: float) -> str:
    """The outcomes as Markdown."""
    options = f"--pairs {args.pairs} --seed {args.seed} --sets {' '.join(args.sets)}"
    lines = [
        "# BLiMP against lm-evaluation-harness",
        "",
        "```sh",
        "pip install '.[peers]'",
        f"python analyses/real_models/blimp_parity.py --model {shlex.quote(args.name)} --data blimp "
        f"{options} --write",
        "```",
        "",
        f"The first {args.pairs} pairs of each set as published. {args.name}, float32, CPU, "
        f"{torch.get_num_threads()} thread(s), {seconds:.0f} s. lm-evaluation-harness "
        f"{version('lm_eval')}, transformers {version('transformers')}, torch {version('torch')}.",
        "",
        "| model | set | pairs | accuracy, theirs | ours | same verdict | largest difference of a "
        "log-probability: fast engine | reference engine |",
        "|---|---|---|---|---|---|---|---|",
        *(outcome.row for outcome in outcomes),
        "",
        "The pruned model is masked on our side, and loaded from its exported folder on the harness's. Of "
        "two sentences with equal log-probabilities the harness takes the good one, and so does the table "
        "(`accuracy_first`); `accuracy` counts them as wrong.",
    ]
    return "\n".join(lines) + "\n"


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a checkpoint's folder")
    parser.add_argument(
        "--name", help="what the table calls the model; the folder's name by default"
    )
    shared = HERE.parents[2] / "shared" / "blimp"
    parser.add_argument(
        "--data", type=Path, default=shared, help="folder of SET.jsonl as published"
    )
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--pairs", type=int, default=200, help="the first so many of a set")
    parser.add_argument("--seed", type=int, default=0, help="of the mask")
    parser.add_argument("--write", action="store_true", help="write blimp_parity.md")
    args = parser.parse_args()
    args.name = args.name or args.model.name
    return args


if __name__ == "__main__":
    sys.exit(main())
