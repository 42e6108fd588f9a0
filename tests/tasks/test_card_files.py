"""Cards and their data as people save and write them: other editors, other encodings, wrong values."""

from __future__ import annotations

import json

import pytest

import spex_mech as sm

CARD = r"""
version = 1
description = "a test"
data = "rows.jsonl"
template = "{question}\nA. {A}\nB. {B}\nAnswer:"
options = ["A", "B"]
metric = "margin"
"""
ROW = {"id": "q0", "split": "search", "question": "Which?", "choices": ["w", "x"], "answer": 1}


def card(tmp_path, rows=(ROW,), text=CARD) -> str:
    (tmp_path / "card.toml").write_text(text)
    (tmp_path / "rows.jsonl").write_text(
        "\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows)
    )
    return str(tmp_path / "card.toml")


def test_files_of_other_editors(tmp_path):
    path = card(tmp_path)
    plain = sm.load_task(path)
    for name in ("card.toml", "rows.jsonl"):
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text.replace("\n", "\r\n"), encoding="utf-8-sig")
    assert sm.load_task(path) == plain
    (tmp_path / "own.csv").write_text("question,A,B,answer\nWho?,w,x,A\n", encoding="utf-8-sig")
    assert sm.load_task(path, data=tmp_path / "own.csv").examples[0].prompt.startswith("Who?")


@pytest.mark.parametrize("name", ["card.toml", "rows.jsonl"])
def test_files_in_another_encoding_are_named(tmp_path, name):
    path = card(tmp_path)
    text = (tmp_path / name).read_text().replace("Which", "Qué").replace("a test", "é")
    (tmp_path / name).write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=rf"{name} is not UTF-8 text: byte \d+ \(0xe9"):
        sm.load_task(path)


def test_only_line_ends_end_a_row(tmp_path):
    row = json.dumps({**ROW, "question": "One\u2028two?"}, ensure_ascii=False)
    assert sm.load_task(card(tmp_path, [row])).examples[0].prompt.startswith("One\u2028two?")
