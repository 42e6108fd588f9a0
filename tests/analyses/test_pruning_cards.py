"""The cards that ask BLiMP's pairs by their beginnings."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import spex_mech as sm

sys.path.append(str(Path(__file__).parents[2] / "analyses" / "head_pruning_real"))
import cards


def test_pairs_become_questions_without_repeats(tmp_path):
    pairs = [
        {
            "one_prefix_method": i != 5,
            "one_prefix_prefix": f"The {i % 250} cats",
            "one_prefix_word_good": "run",
            "one_prefix_word_bad": "runs",
        }
        for i in range(400)
    ]
    (tmp_path / "cats.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    task = sm.load_task(cards.write_card("cats", tmp_path, tmp_path / "made"))
    prompts = [example.prompt for example in task.examples]
    assert len(set(prompts)) == len(prompts) == cards.SEARCH + cards.VALIDATION + cards.TEST
    assert "The 5 cats" not in prompts[: cards.SEARCH]
    example = task.select("search")[0]
    assert example.prompt == "The 0 cats" and example.answer == 0
    assert [option.strip() for option in example.options] == ["run", "runs"]
    counts = [len(task.select(split)) for split in ("search", "validation", "test")]
    assert counts == [cards.SEARCH, cards.VALIDATION, cards.TEST]
