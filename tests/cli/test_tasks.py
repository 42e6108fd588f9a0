"""`spex-mech tasks` (the list, a folder of one's own, one task, and its noise) and `get`."""

from __future__ import annotations

import sys

import pytest

from spex_mech.cli.explain import read_source
from spex_mech.tasks.cards import cards, load_card, task_names

CARD = """
version = 1
description = "my own"
data = "rows.jsonl"
template = "{question}"
options = ["A", "B"]
metric = "margin"
"""


def test_the_list(terminal):
    code, out, _ = terminal("tasks")
    assert code == 0
    lines = [line for line in out.splitlines() if line[2:3].strip()]
    header, *listed = [line.split()[0] for line in lines]
    assert header == "task"
    expected = []
    for card in cards():
        expected += [card.name, f"{card.name}/SUBJECT"] if card.groups else [card.name]
    assert listed == expected and {"mmlu/SUBJECT", "blimp/SUBJECT", "boolq"} < set(listed)
    assert load_card("embedded/people").description in " ".join(out.split())


def test_a_folder_of_ones_own(terminal, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "mine.toml").write_text(CARD)
    code, out, _ = terminal("tasks", str(tmp_path))
    assert (code, out.splitlines()[1:]) == (0, ["  sub/mine  my own"])
    assert task_names(tmp_path) == ["sub/mine"]
    (tmp_path / "sub" / "rows.jsonl").write_text(
        '{"question": "Which?", "choices": ["x", "y"], "answer": 1, "split": "test"}'
    )
    code, out, _ = terminal("tasks", str(tmp_path / "sub" / "mine"))
    assert (
        code == 0 and "'test': 1" in out and out.endswith("Which?\n\nanswers: A | B; right: B\n\n")
    )


def test_a_text_file_of_another_editor(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo")
    assert read_source(f"@{tmp_path / 'a.txt'}") == "one\ntwo"


def test_the_subjects_of_a_card(terminal):
    code, out, _ = terminal("tasks", "mmlu")
    assert "social_sciences: econometrics high_school_geography" in out and code == 0


def test_the_noise_of_a_task(terminal, tmp_path):
    card = load_card("embedded/capitals")
    lines = (card.path.parent / card.values["data"]).read_text().splitlines()
    few = [line for split in ("search", "test") for line in lines if f'"{split}"' in line][:6]
    few += [line for line in lines if '"test"' in line][:10]
    (tmp_path / "few.jsonl").write_text("\n".join(few))
    data = ("--data", str(tmp_path / "few.jsonl"))
    code, out, _ = terminal("tasks", "embedded/capitals", "--noise", *data)
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines() if "questions, accuracy" in line}
    assert list(rows) == ["search", "test", "all"]  # no validation questions in this file
    assert "6 questions" in rows["search"] and "16 questions" in rows["all"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--noise"], "--noise needs a task"),
        (["mmlu/anatomie"], "unknown task 'mmlu/anatomie'; did you mean mmlu/anatomy"),
        (["embedded/people", "--shots", "3"], "'embedded/people' has no shots"),
    ],
)
def test_bad_calls(terminal, arguments, message):
    code, _, err = terminal("tasks", *arguments)
    assert code == 2 and message in err


def test_nothing_is_said_to_be_fetched_without_what_reads_it(terminal, monkeypatch, tmp_path):
    monkeypatch.setenv("SPEX_MECH_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "gguf", None)
    code, out, err = terminal("get", "smollm2")
    assert code == 2 and out == "" and "pip install 'spex-mech[gguf]'" in err
