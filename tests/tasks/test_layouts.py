"""ARC, HellaSwag, BoolQ, Winogrande and PIQA from small files in their hub layouts; own layouts."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import spex_mech as sm
from spex_mech.tasks.layouts import read_questions
from spex_mech.tasks.tables import TableRow

ARC = [
    {
        "id": "Mercury_1",
        "question": "Which falls?",
        "choices": {"text": ["up", "a stone", "no"], "label": ["1", "2", "3"]},
        "answerKey": "2",
    },
    {
        "id": "Mercury_2",
        "question": "What is wet?",
        "choices": {"text": ["sand", "fire", "air", "water"], "label": list("ABCD")},
        "answerKey": "D",
    },
]
HELLASWAG = [
    {
        "ind": 4,
        "activity_label": "Baking",
        "ctx_a": "[header] How to bake [title] Mix it.",
        "ctx_b": "the cook",
        "endings": ["eats [step] it.", "sings  loud.", "sleeps.", "runs."],
        "label": "1",
    }
]
BOOLQ = [{"passage": "Ice is cold.", "question": "is ice cold", "answer": True}]
WINOGRANDE = [
    {
        "sentence": "Ann thanked Eve since _ had helped.",
        "option1": "Ann",
        "option2": "Eve",
        "answer": "2",
    }
]
PIQA = [{"goal": "Open a jar", "sol1": "turn the lid", "sol2": "eat it", "label": 0}]


def write(folder, name: str, rows: list[dict]):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / name)
    return folder


def test_arc(tmp_path):
    data = write(tmp_path, "ARC-Challenge/test-00000-of-00001.parquet", ARC)
    write(tmp_path, "ARC-Challenge/train-00000-of-00001.parquet", ARC[1:])
    task = sm.load_task("arc/challenge", data=data, shots=1)
    first = task.examples[0]
    assert first.prompt == (
        "Question: What is wet?\nAnswer: water\n\nQuestion: Which falls?\nAnswer:"
    )
    assert (first.id, first.options, first.answer) == ("Mercury_1", ("up", "a stone", "no"), 1)
    assert task.form == "continuations" and task.metric == "margin_norm"
    assert task.chance == pytest.approx((1 / 3 + 1 / 4) / 2)
    broken = write(tmp_path / "b", "ARC-Easy/test.parquet", [{**ARC[0], "answerKey": "A"}])
    with pytest.raises(
        ValueError, match=r"test\.parquet, row 1 has answerKey 'A', expected one of"
    ):
        sm.load_task("arc/easy", data=broken)


def test_hellaswag(tmp_path):
    data = write(tmp_path, "data/validation-00000-of-00001.parquet", HELLASWAG)
    (example,) = sm.load_task("hellaswag", data=data).examples
    assert example.prompt == "Baking: How to bake. Mix it. The cook"
    assert example.options == ("eats it.", "sings loud.", "sleeps.", "runs.")
    assert example.answer == 1
    # The test part has no labels.
    rows = write(tmp_path / "b", "data/validation-0.parquet", [{**HELLASWAG[0], "label": ""}])
    with pytest.raises(ValueError, match="row 1 has 4 choices and answer ''"):
        sm.load_task("hellaswag", data=rows)


def test_boolq(tmp_path):
    (example,) = sm.load_task(
        "boolq", data=write(tmp_path, "data/validation-00000-of-00001.parquet", BOOLQ)
    ).examples
    assert example.prompt == "Ice is cold.\nQuestion: is ice cold?\nAnswer:"
    assert (example.options, example.answer) == (("no", "yes"), 1)


def test_winogrande(tmp_path):
    data = write(tmp_path, "winogrande_xl/validation-00000-of-00001.parquet", WINOGRANDE)
    write(tmp_path, "winogrande_xl/train-00000-of-00001.parquet", WINOGRANDE)
    (example,) = sm.load_task("winogrande", data=data, shots=1).examples
    shot = "Ann thanked Eve since Eve had helped.\n\n"
    assert example.contexts == (
        shot + "Ann thanked Eve since Ann",
        shot + "Ann thanked Eve since Eve",
    )
    assert (example.options, example.answer) == (("had helped.",) * 2, 1)
    for change in ({"sentence": "No blank."}, {"answer": ""}):
        broken = write(tmp_path / "b", "validation.parquet", [{**WINOGRANDE[0], **change}])
        with pytest.raises(ValueError, match="expected a blank '_' and an answer '1' or '2'"):
            sm.load_task("winogrande", data=broken)


def test_piqa(tmp_path):
    data = write(tmp_path, "piqa_validation.parquet", PIQA)
    (example,) = sm.load_task("piqa", data=data).examples
    assert example.prompt == "Question: Open a jar\nAnswer:"
    assert (example.options, example.answer) == (("turn the lid", "eat it"), 0)


def test_shards_are_read_in_order(tmp_path):
    for shard in (1, 0, 2):
        rows = [{**PIQA[0], "goal": f"goal {shard}"}]
        write(tmp_path, f"data/validation-0000{shard}-of-00003.parquet", rows)
    task = sm.load_task("piqa", data=tmp_path)
    assert [x.prompt.split("\n")[0] for x in task.examples] == [
        f"Question: goal {i}" for i in range(3)
    ]


CARD = """
version = 1
description = "texts"
data = "own.jsonl"
template = "{text}"
form = "texts"
metric = "logprob"
"""


def test_texts_of_ones_own(tmp_path):
    (tmp_path / "texts.toml").write_text(CARD)
    (tmp_path / "own.jsonl").write_text(
        "\n".join(json.dumps({"text": f"text {i}", "split": "test"}) for i in range(3))
    )
    task = sm.load_task(tmp_path / "texts.toml")
    assert [x.prompt for x in task.select("test")] == ["text 0", "text 1", "text 2"]
    assert task.examples[0].options == ()


def test_unknown_layouts_and_columns():
    with pytest.raises(ValueError, match="unknown layout 'csv'; expected one of rows, mmlu"):
        read_questions([], "csv", "x")
    with pytest.raises(ValueError, match="here has no 'goal'; its columns are question"):
        read_questions([TableRow("here", {"question": "?", "sol1": "", "sol2": ""})], "piqa", "x")
