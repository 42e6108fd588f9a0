"""Write the five hand-written models as Hugging Face checkpoints, each with its task and its circuit.

    python analyses/known_circuits/write.py --out runs/known_circuits --seed 0

Every folder has the model and its tokenizer (words ``w0`` to ``w11``, ``m1``, ``m2``, ``?`` and ``<bos>``),
the questions with their card ``task.toml``, and ``circuit.json``: the parts of the circuit and its
interactions. Then, for instance,

    spex-mech evaluate runs/known_circuits/backup runs/known_circuits/backup/task.toml
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from circuits import PLANS, KnownCircuit, build
from compiler import BOS, HEADS, WORDS
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

import spex_mech as sm

QUESTIONS = {"search": 32, "validation": 16, "test": 64}
CARD = """version = 1
description = "{name}: a circuit written by hand (analyses/known_circuits)"
data = "questions.jsonl"
template = "{{question}}"
form = "pairs"
metric = "margin"
"""


def main() -> None:
    """Write a folder for each circuit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/known_circuits"))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for name in PLANS:
        print(write(build(name, args.seed), args.out / name.replace(" ", "_")))


def write(known: KnownCircuit, folder: Path) -> Path:
    """Write a model, its tokenizer, task and circuit into a folder that is not there or is empty."""
    sm.save_model(sm.Model(known.model, tokenizer(), known.name), folder)
    ids, answers = known.draw(0, sum(QUESTIONS.values()))
    splits = [split for split, count in QUESTIONS.items() for _ in range(count)]
    rows = [
        {
            "split": split,
            "question": " ".join(WORDS[t] for t in tokens),
            "choices": [f" {WORDS[t]}" for t in pair],
            "answer": 0,
        }
        for split, tokens, pair in zip(splits, ids, answers, strict=True)
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "questions.jsonl").write_text(lines, encoding="utf-8")
    (folder / "task.toml").write_text(CARD.format(name=known.name), encoding="utf-8")
    content = {
        "parts": {part: f"L{layer}H{head}" for part, (layer, head) in known.parts.items()},
        "interactions": [
            {"players": [f"L{p // HEADS}H{p % HEADS}" for p in players], "sign": sign}
            for players, sign in known.interactions.items()
        ],
    }
    (folder / "circuit.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return folder


def tokenizer() -> PreTrainedTokenizerFast:
    """One token for each word, and blanks between them."""
    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token=WORDS[BOS], eos_token=WORDS[BOS], unk_token="?"
    )


if __name__ == "__main__":
    main()
