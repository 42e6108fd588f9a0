"""lm-evaluation-harness on every form of one pruned model: equal accuracy and log-probabilities.

Runs in an environment with lm-eval beside spex-mech. The task is `circuits/ioi`, read from a local file, or
with ``--blimp`` a set of minimal pairs by the harness's own task file. A checkpoint is a folder, or a GGUF
file that `sm.load_model` reads back.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import lm_eval
import numpy as np
import torch
import yaml
from lm_eval import simple_evaluate
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

import spex_mech as sm

TASK = """
task: spex_ioi
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{prompt}}}}"
doc_to_choice: "{{{{options}}}}"
doc_to_target: answer
target_delimiter: ""
metric_list: [{{metric: acc}}]
"""
BLIMP = Path(lm_eval.__file__).parent / "tasks" / "blimp"


def main() -> None:
    """Print accuracy and the largest difference of log-probabilities to the first checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument(
        "--blimp", type=Path, help="SET.jsonl as published, such as wh_island.jsonl"
    )
    parser.add_argument("--pairs", type=int, default=200, help="its first pairs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    sm.register_compact()  # for the form own
    first = None
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if options.blimp is None:
            task = ioi_in(folder)
        else:
            task = blimp_in(folder, options.blimp, options.pairs)
        tasks = TaskManager(include_path=scratch, include_defaults=False)
        print(
            f"{task}\n| checkpoint | accuracy | largest difference of log-probabilities |\n|---|---|---|"
        )
        for checkpoint in options.checkpoints:
            accuracy, scores = evaluated(checkpoint, task, tasks)
            first = scores if first is None else first
            worst = np.abs(scores - first).max()
            print(
                f"| {checkpoint.name} | {accuracy:.4f} of {len(scores)} | {worst:.1e} |", flush=True
            )


def ioi_in(folder: Path) -> str:
    """A task file with its questions in a folder; the task's name."""
    rows = sm.load_task("circuits/ioi").select("test")
    lines = [{"prompt": x.prompt, "options": list(x.options), "answer": x.answer} for x in rows]
    file = folder / "ioi.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines))
    (folder / "ioi.yaml").write_text(TASK.format(file=file))
    return "spex_ioi"


def blimp_in(folder: Path, source: Path, pairs: int) -> str:
    """The harness's own task of a set, with its first pairs in a folder; the task's name."""
    rows = source.read_text(encoding="utf-8").splitlines()[:pairs]
    data = folder / source.name
    data.write_text("\n".join(rows), encoding="utf-8")
    card = {
        "include": str(BLIMP / f"{source.stem}.yaml"),
        "task": f"local_blimp_{source.stem}",
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {"train": str(data)}},
    }
    (folder / "blimp.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    return card["task"]


def evaluated(checkpoint: Path, task: str, tasks: TaskManager) -> tuple[float, np.ndarray]:
    """Accuracy, and the log-probability of every option of every question."""
    options: dict[str, Any] = {"batch_size": 8}
    if checkpoint.suffix == ".gguf":
        loaded = sm.load_model(checkpoint, device="cpu")
        options["model"] = HFLM(pretrained=loaded.hf, tokenizer=loaded.tokenizer, batch_size=8)
    else:
        options |= {
            "model": "hf",
            "model_args": {"pretrained": str(checkpoint), "dtype": "float32"},
            "device": "cpu",
        }
    found: Any = simple_evaluate(
        tasks=[task], task_manager=tasks, log_samples=True, verbosity="ERROR", **options
    )
    samples = sorted(found["samples"][task], key=lambda sample: sample["doc_id"])
    scores = np.array([[float(r[0]) for r in sample["filtered_resps"]] for sample in samples])
    return found["results"][task]["acc,none"], scores


if __name__ == "__main__":
    main()
