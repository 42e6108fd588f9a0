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


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('["A", "B"]', "[1, 2]", r"line 6: options is \[1, 2\], expected a list of texts"),
        ('["A", "B"]', "3", "options is 3, expected a list of texts"),
        ('"margin"', "3", "metric is 3, expected text"),
        ("version = 1", "version = true", "version is True, expected a whole number"),
        ("version = 1", "version = " + "[" * 9999, "nested too deeply"),
        ("version = 1", "version = " + "9" * 9999, "is not TOML"),
        ('"a test"', '"' + "x" * 9999 + '"\nmetrics = 1', "unknown key 'metrics'"),
        ("{question}", "{question:>999999999}", "no name of a field"),
        ("{question}", "{question.__class__}", "no name of a field"),
        ("{question}", "{question", "cannot be filled"),
    ],
)
def test_wrong_values_in_cards(tmp_path, old, new, message):
    with pytest.raises(ValueError, match=message) as caught:
        sm.load_task(card(tmp_path, text=CARD.replace(old, new)))
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


GENERATOR = """
version = 1
description = "a test"
generator = "ioi"
form = "pairs"
metric = "margin"
count = 2
templates = ["{first} and {second}, {giver} gave to"]
words = {names = ["A", "B", "C"]}
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "count = 2",
            "count = 1000000000",
            "count 1000000000 and 1 templates, expected a count from",
        ),
        ("count = 2", "count = 0", "expected a count from 1"),
        ('["{first} and {second}, {giver} gave to"]', "[]", "0 templates"),
        ('["{first} and {second}, {giver} gave to"]', "[3]", "templates is .*, expected a list of"),
        ("{giver}", "{taker}", "template of a generator cannot be filled .*taker"),
        ('["A", "B", "C"]', "3", "names'? is 3, expected a list of words"),
        ('["A", "B", "C"]', '["A", 3]', "words.names has 3, expected text"),
        ('["A", "B", "C"]', '["A"]', "has one entry, expected two or more"),
        ("count = 2", "count = 2\nseed = 1.5", "seed is 1.5, expected a whole number"),
    ],
)
def test_wrong_values_in_generators(tmp_path, old, new, message):
    (tmp_path / "card.toml").write_text(GENERATOR)
    assert len(sm.load_task(tmp_path / "card.toml").examples) == 2
    (tmp_path / "card.toml").write_text(GENERATOR.replace(old, new))
    with pytest.raises(ValueError, match=message):
        sm.load_task(tmp_path / "card.toml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sets": 10**9}, "at most 100000 sets"),
        ({"players": 10**9}, "expected 1 to 10000 players"),
        ({"seed": -1}, "a seed of 0 or more"),
        ({"degrees": "[1.5]"}, "degrees is .*, expected a list of whole numbers"),
        ({"degrees": "[40]", "hierarchy": "true", "players": 50}, "too many subsets"),
        ({"sets": 99999, "degrees": "[1]"}, "there are not 99999 sets"),
    ],
)
def test_wrong_values_in_games(tmp_path, changes, message):
    values = {"version": 1, "description": '"g"', "players": 9, "sets": 2, "degrees": "[2]"}
    lines = [f"{key} = {value}" for key, value in {**values, **changes}.items()]
    (tmp_path / "game.toml").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=message):
        sm.load_game(tmp_path / "game.toml")


@pytest.mark.parametrize(
    ("key", "value"),
    [(k, v) for k in ROW for v in (3.5, [[]], {"a": 1}) if (k, v) != ("id", None)]
    + [("choices", 5), ("passage", 5), ("question", 5), ("answer", None), ("answer", [1])],
)
def test_wrong_values_in_rows(tmp_path, key, value):
    with pytest.raises(ValueError, match=r"rows\.jsonl, row 1 has"):
        sm.load_task(card(tmp_path, [{**ROW, key: value}]))


def test_half_a_character_in_a_row_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"row 1 has half of a surrogate pair"):
        sm.load_task(card(tmp_path, [{**ROW, "question": "\ud83d"}]))


@pytest.mark.parametrize(
    ("layout", "row"),
    [
        ("arc", {"id": "a", "question": "?", "choices": 3, "answerKey": "A"}),
        (
            "arc",
            {"id": "a", "question": "?", "choices": {"label": 3, "text": ["x"]}, "answerKey": 3},
        ),
        (
            "hellaswag",
            {"ctx_a": "a", "ctx_b": "b", "activity_label": "c", "endings": 5, "label": 0},
        ),
        ("mmlu", {"question": "?", "choices": 3, "answer": 0}),
    ],
)
def test_wrong_values_in_published_rows(tmp_path, layout, row):
    text = CARD.replace("metric", f'layout = "{layout}"\nmetric')
    with pytest.raises(ValueError, match=r"row 1 has choices"):
        sm.load_task(card(tmp_path, [row], text))
