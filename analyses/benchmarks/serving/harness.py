"""lm-evaluation-harness on every form of one pruned model: equal accuracy and log-probabilities.

Runs in an environment with lm-eval beside spex-mech. The task is `circuits/ioi`, read from a local file.
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

import numpy as np
import torch
from lm_eval import simple_evaluate
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


def main() -> None:
    """Print accuracy and the largest difference of log-probabilities to the first checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    options = parser.parse_args()
    torch.set_num_threads(1)
    sm.register_compact()  # for the form own
    print("| checkpoint | accuracy | largest difference of log-probabilities |\n|---|---|---|")
    first = None
    with tempfile.TemporaryDirectory() as folder:
        tasks = task_in(Path(folder))
        for checkpoint in options.checkpoints:
            accuracy, scores = evaluated(checkpoint, tasks)
            first = scores if first is None else first
            print(f"| {checkpoint.name} | {accuracy:.4f} | {np.abs(scores - first).max():.1e} |")


def task_in(folder: Path) -> TaskManager:
    """A task file with its questions in a folder."""
    rows = sm.load_task("circuits/ioi").select("test")
    lines = [{"prompt": x.prompt, "options": list(x.options), "answer": x.answer} for x in rows]
    file = folder / "ioi.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines))
    (folder / "ioi.yaml").write_text(TASK.format(file=file))
    return TaskManager(include_path=str(folder), include_defaults=False)


def evaluated(checkpoint: Path, tasks: TaskManager) -> tuple[float, np.ndarray]:
    """Accuracy, and the log-probability of every option of every question."""
    found: Any = simple_evaluate(
        model="hf",
        model_args={"pretrained": str(checkpoint), "dtype": "float32"},
        tasks=["spex_ioi"],
        task_manager=tasks,
        device="cpu",
        batch_size=8,
        log_samples=True,
        verbosity="ERROR",
    )
    samples = sorted(found["samples"]["spex_ioi"], key=lambda sample: sample["doc_id"])
    scores = np.array([[float(r[0]) for r in sample["filtered_resps"]] for sample in samples])
    return found["results"]["spex_ioi"]["acc,none"], scores


if __name__ == "__main__":
    main()
