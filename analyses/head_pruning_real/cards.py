"""BLiMP's pairs whose sentences share a beginning, asked as how that beginning goes on."""

from __future__ import annotations

import json
from pathlib import Path

CARD = """version = 1
description = "BLiMP's {name} with the beginning as the prompt and the two next words as options"
data = "{name}.jsonl"
template = "{{question}}"
form = "continuations"
metric = "margin"
"""
SEARCH, VALIDATION, TEST = 40, 60, 120


def write_card(name: str, data: Path, folder: Path) -> Path:
    """Write a card and its questions: the first pairs of a set to search, the next to validation and test.

    The sets that have ``one_prefix_method`` (Warstadt et al. 2020) differ in one word after a common
    beginning. The margin is the log-probability of the good word minus that of the bad one.

    Args:
        name: a set of BLiMP.
        data: folder of the published files.
        folder: where to write.

    Returns:
        The card.
    """
    pairs = [json.loads(line) for line in (data / f"{name}.jsonl").read_text("utf-8").splitlines()]
    splits = ["search"] * SEARCH + ["validation"] * VALIDATION + ["test"] * TEST
    seen = dict.fromkeys(
        (p["one_prefix_prefix"], p["one_prefix_word_good"], p["one_prefix_word_bad"])
        for p in pairs
        if p["one_prefix_method"]
    )
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"question": question, "choices": [good, bad], "answer": 0, "split": split}
        for (question, good, bad), split in zip(seen, splits, strict=False)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    card = folder / f"{name}.toml"
    card.write_text(CARD.format(name=name), encoding="utf-8")
    return card
