"""Question sets of pruned heads, and comparisons of kept sets over draws of them."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2] / "analyses" / "head_pruning_real"))
import attention
import cards
import pruned_study
import pruned_tables

from spex_mech.tasks.task import Example


def short(text: str) -> bool:
    return len(text) < 7


def test_beginnings_become_questions_without_repeats(tmp_path):
    pairs = [
        {
            "one_prefix_method": i != 5,
            "one_prefix_prefix": f"The {i % 250} cats",
            "one_prefix_word_good": "run" if i % 250 else "walk",
            "one_prefix_word_bad": "runs" if i % 250 else "meander",
        }
        for i in range(400)
    ]
    (tmp_path / "cats.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    task = cards.load("cats", data=tmp_path, folder=tmp_path / "made", one_token=short)
    prompts = [example.prompt for example in task.examples]
    assert sorted(prompts) == sorted(f"The {i} cats" for i in range(1, 250))
    assert task.examples[0].options == (" run", " runs") and task.examples[0].answer == 0


def test_a_decade_is_asked_where_it_decides():
    rows = cards.decades()
    assert 300 < len(rows) <= 400
    for row in rows:
        start = row["question"].split(" to ")[0][-4:]
        century = row["question"][-2:]
        right, wrong = row["choices"][row["answer"]], row["choices"][1 - row["answer"]]
        assert start[:2] == century and wrong <= start[2] <= right and wrong != right


def test_draws_share_no_question(tmp_path):
    task = cards.load("greater_than", data=tmp_path, folder=tmp_path, one_token=short)
    draws = [cards.drawn(task, split, search=20, test=1000) for split in range(cards.SPLITS)]
    parts = {
        (split, part): {(x.prompt, x.options) for x in draw.select(part)}
        for split, draw in enumerate(draws)
        for part in ("search", "test")
    }
    assert all(len(parts[split, "search"]) == 20 for split in range(cards.SPLITS))
    assert sum(map(len, parts.values())) == len(set.union(*parts.values())) == len(task.examples)
    few = cards.drawn(task, 0, search=20, test=7)
    assert {(x.prompt, x.options) for x in few.select("test")} < parts[0, "test"]
    with pytest.raises(ValueError, match="too few for 5 searches of 80"):
        cards.drawn(task, 0, search=80, test=7)


def test_a_head_that_hurts_and_a_method_that_mends_are_seen(tmp_path):
    """Every second question turns right without head 0, by a margin of 3 instead of -1."""
    full = np.array([-1.0, 2.0] * 10)
    mended = full + 4.0 * (full < 0)
    draws = [
        pruned_study.Draw(
            group="last",
            task="rule",
            split=split,
            methods=("ours", "other"),
            keeps=(2,),
            heads=("a", "b", "c"),
            questions=tuple(f"{split} {i}" for i in range(20)),
            kept=np.array([[[0, 1, 1]], [[1, 1, 0]]], dtype=bool),
            full=full,
            margins=np.stack([mended, full - 1.0])[:, None],
            alone=np.stack([mended, full, full - 1.0]),
            spent=np.array([5, 4]),
            seconds=np.ones(3),
        )
        for split in range(3)
    ]
    for draw in draws:
        draw.save(tmp_path / f"last-rule-{draw.split}.npz")
    (study,) = pruned_study.studies(tmp_path)
    assert [draw.split for draw in study.draws] == [0, 1, 2]
    assert study.mean("accuracy", pruned_study.FULL, 2) == 0.5
    assert study.mean("accuracy", "ours", 2) == 1.0
    assert study.gain("margin", "ours", "other", 2).mean == pytest.approx(3.0)
    test = study.mcnemar("ours", 2)
    assert (test.only_a, test.only_b, test.n) == (30, 0, 60) and test.p == pytest.approx(2**-29)
    assert study.without("margin", 0, 0.95).mean == pytest.approx(2.0)
    assert study.without("margin", 0, 0.95).low > 0 > study.without("margin", 2, 0.95).high
    assert [study.removed(head, 2) for head in range(3)] == [3, 0, 0]
    others = [replace(draw, task="rest", alone=draw.alone[:0]) for draw in draws]
    others.append(replace(draws[0], split=3, alone=draws[0].alone[:0]))
    # A set without single removals, and a further draw of the first one without them.
    for draw in others:
        draw.save(tmp_path / f"last-{draw.task}-{draw.split}.npz")
    pruned_tables.write(tmp_path, tmp_path / "results.csv")
    with (tmp_path / "heads.csv").open(newline="") as file:
        heads = list(csv.DictReader(file))
    assert [(row["task"], row["head"], row["of"]) for row in heads] == [
        ("rule", head, "4") for head in "abc"
    ]
    assert heads[0]["margin without it, minus full"] == str(
        study.without("margin", 0, 1 - 0.05 / 3)
    )
    with (tmp_path / "results.csv").open(newline="") as file:
        assert {(row["task"], row["draws"]) for row in csv.DictReader(file)} == {
            ("rule", "4"),
            ("rest", "3"),
        }


def test_parts_of_a_prompt_are_found_by_its_words():
    example = Example("q", "", 1, (" Ann", " Bob"), "test")
    tokens = ["Then", " Bob", " and", " Ann", " met", ".", " Ann", " gave", " to"]
    assert attention.parts_of("ioi", tokens, example) == {
        "first token": [0], "indirect object": [1], "subject": [3], "subject again": [6],
    }  # fmt: skip
    clause = "distractor_agreement_relative_clause"
    tokens = ["A", " lot", " of", " wait", "ers", " that", " met", " child", "ren"]
    found = attention.parts_of(clause, tokens, example)
    assert {part: list(places) for part, places in found.items()} == {
        "first token": [0], "subject's noun": [3, 4], "last noun": [7, 8],
    }  # fmt: skip
    noun = "distractor_agreement_relational_noun"
    found = attention.parts_of(noun, ["The", " niece", " of", " guests"], example)
    assert list(found["subject's noun"]) == [1] and list(found["last noun"]) == [3]
    assert (
        attention.parts_of(noun, ["Boys", " of", " Spain"], example) == {}
    )  # it is the first token
    assert attention.parts_of(noun, ["The", " boys"], example) == {}
