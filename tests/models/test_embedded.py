"""The shipped embedded model and its task data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "spex_mech" / "embedded"
TASKS = ROOT / "tasks" / "embedded"
ANALYSIS = ROOT / "analyses" / "embedded_model"
SUBJECTS = ("people", "boxes", "capitals", "kinds", "moves", "order", "travel")
SPLITS = {"search": 240, "validation": 240, "test": 480}
LETTERS = "ABCD"


def prompt_of(row: dict) -> str:
    """The prompt of a row."""
    options = [f"{a}. {c}" for a, c in zip(LETTERS, row["choices"], strict=True)]
    lines = [row["passage"], row["question"], *options, "Answer:"]
    return "\n".join(line for line in lines if line)


def rows_of(subject: str) -> list[dict]:
    """All rows of a subject."""
    lines = (TASKS / f"{subject}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture(scope="module")
def tokenizer():
    """The tokenizer, as stock code loads it."""
    return transformers.AutoTokenizer.from_pretrained(MODEL)


@pytest.fixture(scope="module")
def model():
    """The model, as stock code loads it."""
    return transformers.AutoModelForCausalLM.from_pretrained(MODEL).eval()


def test_files_are_small_and_hold_no_pickle():
    names = {path.name for path in MODEL.iterdir() if path.is_file()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    assert (MODEL / "model.safetensors").stat().st_size <= 4_800_000
    for subject in SUBJECTS:
        assert (TASKS / f"{subject}.jsonl").stat().st_size < 400_000


def test_architecture(model):
    assert type(model).__name__ == "LlamaForCausalLM"
    assert (model.config.num_hidden_layers, model.config.num_attention_heads) == (4, 8)
    assert model.config.num_key_value_heads == 4
    assert model.config.max_position_embeddings == 512
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model.num_parameters() <= 1_200_000


def test_tokenizer_round_trip(tokenizer):
    assert tokenizer.pad_token_id is not None
    assert tokenizer.pad_token_id != tokenizer.unk_token_id
    text = "Anna has a cat.\nWhich pet does Anna have?\nA. cat\nB. dog\nAnswer:"
    ids = tokenizer(text)["input_ids"]
    words = tokenizer.convert_ids_to_tokens(ids)
    assert words[0] == tokenizer.bos_token
    assert words[1:6] == ["Anna", "has", "a", "cat", "."]
    assert words[-8:] == ["A", ".", "cat", "B", ".", "dog", "Answer", ":"]
    assert tokenizer(tokenizer.decode(ids, skip_special_tokens=True))["input_ids"] == ids


def test_letters_are_one_token_after_the_prompt(tokenizer):
    prompt = prompt_of(rows_of("people")[0])
    ids = tokenizer(prompt)["input_ids"]
    for letter in LETTERS:
        longer = tokenizer(f"{prompt} {letter}")["input_ids"]
        assert longer[:-1] == ids
        assert tokenizer.decode(longer[-1:]) == letter


@pytest.mark.parametrize("subject", SUBJECTS)
def test_rows(subject, tokenizer):
    rows = rows_of(subject)
    assert Counter(row["split"] for row in rows) == SPLITS
    assert len({row["id"] for row in rows}) == len(rows)
    for split, count in SPLITS.items():
        letters = Counter(row["answer"] for row in rows if row["split"] == split)
        assert letters == {letter: count // 4 for letter in range(4)}
    for row in rows:
        assert set(row) == {"id", "split", "passage", "question", "choices", "answer"}
        assert row["id"].startswith(f"{subject}-{row['split']}-")
        assert len(set(row["choices"])) == 4
    encoded = tokenizer([prompt_of(row) for row in rows])["input_ids"]
    assert tokenizer.unk_token_id not in {token for ids in encoded for token in ids}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_splits_are_disjoint(subject):
    keys: dict[str, set] = {split: set() for split in SPLITS}
    for row in rows_of(subject):
        # neither a passage nor a closed question is shared, whatever the order of the options
        options = () if subject == "capitals" else tuple(sorted(row["choices"]))
        keys[row["split"]].add(row["passage"] or (row["question"], options))
    for a, b in (("search", "validation"), ("search", "test"), ("validation", "test")):
        assert not keys[a] & keys[b]


@pytest.mark.parametrize("subject", SUBJECTS)
def test_accuracy(subject, tokenizer, model):
    rows = [row for row in rows_of(subject) if row["split"] == "test"][:160]
    letters = tokenizer.convert_tokens_to_ids(list(LETTERS))
    inputs = tokenizer(
        [prompt_of(row) for row in rows], return_tensors="pt", padding=True, padding_side="left"
    )
    with torch.no_grad():
        logits = model(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            logits_to_keep=1,
        ).logits[:, -1, letters]
    accuracy = np.mean(logits.argmax(1).numpy() == [row["answer"] for row in rows])
    assert accuracy >= (0.85 if subject == "boxes" else 0.95)


def test_data_is_regenerated_byte_for_byte(tmp_path):
    command = [sys.executable, str(ANALYSIS / "make_data.py"), str(tmp_path)]
    subprocess.run(command, check=True, cwd=tmp_path)
    for subject in SUBJECTS:
        made = (tmp_path / f"{subject}.jsonl").read_bytes()
        assert made == (TASKS / f"{subject}.jsonl").read_bytes()


def test_training_draws_no_held_out_question():
    code = (
        "import sys, numpy as np; sys.path.insert(0, sys.argv[1]); import world\n"
        "rng = np.random.default_rng(0)\n"
        "for s in world.SUBJECTS:\n"
        "    for _ in range(200):\n"
        "        item = world.make_item(s, rng)\n"
        "        assert world.part_of(item) == 'train'\n"
        "    for split in world.SPLIT_SIZES:\n"
        "        item = world.make_item(s, rng, split)\n"
        "        assert world.part_of(item) == split\n"
        "asked = [world.closed_book_templates(i) for i in range(32)]\n"
        "assert all(sorted(sum(a.values(), [])) == list(range(6)) for a in asked)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(ANALYSIS)], check=True)
