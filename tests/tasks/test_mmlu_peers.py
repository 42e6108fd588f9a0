"""MMLU's prompts against lm-evaluation-harness itself (extra `peers`), on files written here."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import spex_mech as sm
from spex_mech.tasks.cards import load_card

lm_eval = pytest.importorskip("lm_eval", reason="needs the extra peers (lm-eval)")
TEMPLATES = Path(lm_eval.__file__).parent / "tasks" / "mmlu" / "default"
ODD = [" padded ", "\n{braces} and {{twice}}", '"quoted", twice', "ends in a break\n", "ünï — ¼"]


def write(folder: Path, subject: str) -> None:
    for part, count in (("dev", 5), ("test", 7)):
        rows = [
            {
                "question": f"{part} {i}{ODD[i % 5]}",
                "choices": [f"{x}{ODD[(i + j) % 5]}" for j, x in enumerate("wxyz")],
                "answer": i % 4,
            }
            for i in range(count)
        ]
        (folder / subject).mkdir(exist_ok=True)
        file = folder / subject / f"{part}-00000-of-00001.parquet"
        pq.write_table(pa.Table.from_pylist(rows), file)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("subject", ["high_school_us_history", "us_foreign_policy"])
def test_prompts_are_those_of_the_harness(tmp_path, subject):
    from lm_eval.tasks import TaskManager, get_task_dict

    write(tmp_path, subject)
    files = {p: str(tmp_path / subject / f"{p}-00000-of-00001.parquet") for p in ("dev", "test")}
    card = {
        "include": str(TEMPLATES / f"mmlu_{subject}.yaml"),
        "task": "local",
        "tag": None,
        "dataset_path": "parquet",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": files, "cache_dir": str(tmp_path / "cache")},
    }
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "local.yaml").write_text(yaml.safe_dump(card))
    manager = TaskManager(include_path=str(tmp_path / "cards"))
    theirs = get_task_dict(["local"], manager)["local"]
    for shots in (0, 1, 5):
        expected = [theirs.fewshot_context(doc, num_fewshot=shots) for doc in theirs.test_docs()]
        ours = sm.load_task(f"mmlu/{subject}", data=tmp_path, shots=shots)
        assert [x.prompt for x in ours.examples] == expected


def test_subjects_and_groups_are_those_of_the_harness():
    groups: dict[str, set[str]] = {}
    for file in TEMPLATES.glob("mmlu_*.yaml"):
        card = yaml.safe_load(file.read_text())
        groups.setdefault(card["tag"], set()).add(card["dataset_name"])
    ours = {f"mmlu_{name}_tasks": set(s) for name, s in load_card("mmlu").groups.items()}
    assert ours == groups
