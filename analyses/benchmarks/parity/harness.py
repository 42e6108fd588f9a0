"""lm-evaluation-harness on local files: its own templates by reference, its own `simple_evaluate`."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import lm_eval
import yaml
from lm_eval.tasks import TaskManager

TEMPLATES = Path(lm_eval.__file__).parent / "tasks" / "mmlu" / "default"


@dataclass(frozen=True)
class Answers:
    """What the harness says.

    Attributes:
        logprobs: question number to its four log-probabilities.
        right: question number to 1.0 or 0.0, its ``acc``.
        accuracy: the ``acc`` it reports.
        prompts: question number to the prompt it sent.
    """

    logprobs: dict[int, list[float]]
    right: dict[int, float]
    accuracy: float
    prompts: dict[int, str]


@dataclass(frozen=True)
class Harness:
    """The harness's Hugging Face model of a folder, asked MMLU from Parquet files in the hub's layout."""

    folder: Path
    data: Path

    def ask(
        self, subject: str, shots: int, *, chat: bool | str = False, limit: int | None = None
    ) -> Answers:
        """Run `simple_evaluate` on one subject."""
        name = f"local_mmlu_{subject}"
        with tempfile.TemporaryDirectory() as folder:
            task = {
                # The subject's own file: description and template stay the harness's.
                "include": str(TEMPLATES / f"mmlu_{subject}.yaml"),
                "task": name,
                "tag": None,
                "dataset_path": "parquet",
                "dataset_name": None,
                "dataset_kwargs": {
                    "data_files": {
                        part: str(self.data / subject / f"{part}-00000-of-00001.parquet")
                        for part in ("dev", "test")
                    }
                },
            }
            (Path(folder) / f"{name}.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
            result = lm_eval.simple_evaluate(
                model="hf",
                model_args={"pretrained": str(self.folder), "dtype": "float32"},
                tasks=[name],
                task_manager=TaskManager(include_path=folder, include_defaults=False),
                num_fewshot=shots,
                apply_chat_template=bool(chat),
                fewshot_as_multiturn=chat == "turns",
                limit=limit,
                batch_size=1,
                device="cpu",
                bootstrap_iters=0,
                log_samples=True,
                verbosity="ERROR",
            )
        samples = result["samples"][name]
        return Answers(
            {s["doc_id"]: [float(r[0][0]) for r in s["resps"]] for s in samples},
            {s["doc_id"]: float(s["acc"]) for s in samples},
            float(result["results"][name]["acc,none"]),
            {s["doc_id"]: s["arguments"][0][0] for s in samples},
        )
