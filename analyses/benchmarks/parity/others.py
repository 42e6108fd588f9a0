"""Parity with lm-evaluation-harness on ARC, HellaSwag, BoolQ, Winogrande and PIQA.

The questions are a few made-up ones in the hub's layouts (the real ones cannot be fetched here); the
harness reads them through its own task files. Every option's log-probability must agree within 1e-4, and
``acc`` and ``acc_norm`` question by question.
"""

from __future__ import annotations

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import sys
import tempfile
from pathlib import Path

import lm_eval
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from lm_eval.tasks import TaskManager
from models import tiny_model

import spex_mech as sm

TASKS = Path(lm_eval.__file__).parent / "tasks"
THINGS = [
    "a red stone",
    "water",
    "the old king's letter",
    "two [step] small boats",
    "fire  and smoke",
]


def main() -> int:
    """Ask both about every task."""
    parser = argparse.ArgumentParser(description=__doc__)
    data = Path(__file__).parents[4] / "shared" / "mmlu" / "hf"
    parser.add_argument("--data", type=Path, default=data, help="MMLU, to train the tokenizer on")
    args = parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        tiny_model(folder / "model", args.data, ["high_school_us_history"], context=512)
        model = sm.load_model(folder / "model", device="cpu")
        for name, (file, theirs, part, rows) in made_up().items():
            source = folder / name / file
            source.parent.mkdir(parents=True)
            pq.write_table(pa.Table.from_pylist(rows), source)
            answers = harness(folder, theirs, part, source)
            difference, same = compare(model, name, folder / name, answers)
            fine = difference <= 1e-4 and same
            wrong += not fine
            print(f"{name:<14} {len(rows)} questions, largest difference {difference:.1e}, {same}")
    return 1 if wrong else 0


def compare(model: sm.Model, name: str, data: Path, answers: list[dict]) -> tuple[float, bool]:
    """Largest difference of a log-probability, and whether every acc and acc_norm agrees."""
    task = sm.load_task(name, data=data)
    players = sm.select_players(model, "heads")
    game = sm.TaskGame(model, task, players, split="all")
    scores = game.scores(np.ones((1, players.n), dtype=bool))
    worst, same = 0.0, True
    for row, sample in zip(scores[0], answers, strict=True):
        expected = np.array([r[0][0] for r in sample["resps"]])
        worst = max(worst, float(np.abs(row[: len(expected)] - expected).max()))
    for theirs, ours in (("acc", "accuracy_first"), ("acc_norm", "accuracy_first_norm")):
        if theirs in answers[0]:
            found = game.per_example(scores, metric=ours)[0]
            same &= found.tolist() == [float(s[theirs]) for s in answers]
    return worst, same


def harness(folder: Path, theirs: str, part: str, source: Path) -> list[dict]:
    """The harness's samples on a Parquet file, by its own task file."""
    name = f"local_{source.parent.name.replace('-', '_')}_{theirs.replace('/', '_')[:-5]}"
    with tempfile.TemporaryDirectory() as cards:
        card = {
            "include": str(TASKS / theirs),
            "task": name,
            "tag": None,
            "dataset_path": "parquet",
            "dataset_name": None,
            "training_split": None,
            "validation_split": part,
            "test_split": None,
            "dataset_kwargs": {"data_files": {part: str(source)}},
        }
        (Path(cards) / f"{name}.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
        result = lm_eval.simple_evaluate(
            model="hf",
            model_args={"pretrained": str(folder / "model"), "dtype": "float32"},
            tasks=[name],
            task_manager=TaskManager(include_path=cards, include_defaults=False),
            num_fewshot=0,
            batch_size=1,
            device="cpu",
            bootstrap_iters=0,
            log_samples=True,
            verbosity="ERROR",
        )
    return sorted(result["samples"][name], key=lambda s: s["doc_id"])


def made_up() -> dict[str, tuple[str, str, str, list[dict]]]:
    """Card name: file in the hub's layout, the harness's task file, its part, and rows."""
    rng = np.random.default_rng(0)

    def pick(count: int) -> list[str]:
        return [THINGS[i] for i in rng.permutation(len(THINGS))[:count]]

    arc, hellaswag, boolq, winogrande, piqa = [], [], [], [], []
    for i in range(12):
        count = 3 + i % 3
        labels = list("ABCDE" if i % 2 else "12345")[:count]
        arc.append(
            {
                "id": f"q{i}",
                "question": f"What did number {i} find?",
                "choices": {"text": pick(count), "label": labels},
                "answerKey": labels[i % count],
            }
        )
        hellaswag.append(
            {
                "activity_label": "Sailing",
                "ctx_a": f"[header] How to sail [title] Take {i}.",
                "ctx_b": "the crew" if i % 2 else "",
                "endings": pick(4),
                "label": str(i % 4),
            }
        )
        boolq.append(
            {
                "passage": f"They saw {pick(1)[0]}.",
                "question": f"did {i} of them see it",
                "answer": bool(i % 2),
                "label": i % 2,
            }
        )
        winogrande.append(
            {
                "sentence": f"Ann told Eve of {pick(1)[0]} because _ had asked {i} times.",
                "option1": "Ann",
                "option2": "Eve",
                "answer": "12"[i % 2],
            }
        )
        first, second = pick(2)
        piqa.append({"goal": f"Find {i}", "sol1": first, "sol2": second, "label": i % 2})
    shard = "validation-00000-of-00001.parquet"
    return {
        "arc/easy": (
            f"ARC-Easy/{shard.replace('validation', 'test')}",
            "arc/arc_easy.yaml",
            "test",
            arc,
        ),
        "hellaswag": (f"data/{shard}", "hellaswag/hellaswag.yaml", "validation", hellaswag),
        "boolq": (f"data/{shard}", "super_glue/boolq/default.yaml", "validation", boolq),
        "winogrande": (
            f"winogrande_xl/{shard}",
            "winogrande/default.yaml",
            "validation",
            winogrande,
        ),
        "piqa": (f"data/{shard}", "piqa/piqa.yaml", "validation", piqa),
    }


if __name__ == "__main__":
    sys.exit(main())
