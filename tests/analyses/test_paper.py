"""``--paper`` runs to its end where the hub, the data set and the endpoint are servers of this machine.

Sizes are small and the model is a random one of Llama's form; everything else is what somebody with a GPU
and a key runs: names of the hub, downloads, the pinned commit of MMLU, prompts, tables and figures.
"""

from __future__ import annotations

import csv
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
import transformers
from endpoint_server import Server, said
from hub import hub
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

ROOT = Path(__file__).parents[2]
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
SUBJECT = "high_school_us_history"
CHAT = (
    "{{ bos_token }}{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
# What is smaller than in the paper, for each folder; everything that is not named is the paper's.
SMALLER = {
    "depth": "--questions 6 --rows 120 --held-out 8 --splits 1 --groups early",
    "head_pruning_real": "--budget 12 --keep 0.8 --splits 1 --group last --no-single",
    "joint": "--players heads:30-31 --prompts 2 --masks 60 --held-out 8",
    "long_text": "--players 16 --seeds 1 --each 3 --held-out 8 --methods auto lime",
    "rag": "--documents 4 --questions 1 --masks 16 --wrong",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> tuple[dict[str, Path], Path]:
    """What the hub has, and a home folder for what is downloaded."""
    folder = tmp_path_factory.mktemp("hub")
    _model(folder / "model")
    rows = {"test": 204, "validation": 22, "dev": 5}  # as many as the real subject has
    _table_files(
        folder / "mmlu",
        SUBJECT,
        {
            part: [
                {
                    "question": f"Passage {part} {i}. Which one?",
                    "subject": SUBJECT,
                    "choices": [f"the {w} {i}" for w in ("first", "second", "third", "fourth")],
                    "answer": i % 4,
                }
                for i in range(count)
            ]
            for part, count in rows.items()
        },
    )
    return {LLAMA: folder / "model", "datasets/cais/mmlu": folder / "mmlu"}, folder / "home"


def _model(folder: Path) -> None:
    """A random Llama of 32 layers, and a tokenizer with a token for each word of the cards."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    texts = [path.read_text("utf-8") for path in (ROOT / "tasks").rglob("*.toml")]
    learnt = trainers.BpeTrainer(
        vocab_size=3000,
        special_tokens=["<|begin_of_text|>", "<|eot_id|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator([*texts, *(text.replace('"', " ") for text in texts)], learnt)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token="<|begin_of_text|>", eos_token="<|eot_id|>"
    )
    tokenizer.chat_template = CHAT
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=32,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=4,
        max_position_embeddings=4096,
        initializer_range=0.3,
        bos_token_id=0,
        eos_token_id=1,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _table_files(folder: Path, config: str, parts: dict[str, list[dict]]) -> None:
    """A data set in the hub's layout: Parquet files, and a README that says which is which."""
    (folder / config).mkdir(parents=True)
    named = []
    for part, rows in parts.items():
        table = pyarrow.Table.from_pylist(rows)
        pyarrow.parquet.write_table(table, folder / config / f"{part}-00000-of-00001.parquet")
        named.append(f"  - split: {part}\n    path: {config}/{part}-*\n")
    (folder / "README.md").write_text(
        f"---\nconfigs:\n- config_name: {config}\n  data_files:\n{''.join(named)}---\n"
    )


def _run(command: list[str], results: Path, **environment: str) -> str:
    own = {"PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
    # Not the caches or the token of whoever runs the tests.
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, *command, "--results", str(results)],
        cwd=results.parent,
        env=clean | own | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("name", sorted(SMALLER))
def test_the_paper_s_setting_runs_on_what_the_hub_gives(name, world, tmp_path):
    repositories, home = world
    results = tmp_path if name == "joint" else tmp_path / "results.csv"
    with hub(repositories) as (address, asked):
        environment = {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_OFFLINE": "0"}
        script = str(ROOT / "analyses" / name / "run.py")
        shown = _run([script, "--paper", *SMALLER[name].split()], results, **environment)
    assert any(LLAMA in line for line in asked)
    assert any(path.stat().st_size > 5000 for path in tmp_path.glob("*.png"))
    if name == "joint":
        found = json.loads((tmp_path / "ioi.json").read_text())
        assert found["players"] == [13, 8] and "table" not in shown
        return
    assert (tmp_path / "results.md").read_text().strip() in shown
    with results.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row.get("model", LLAMA) for row in rows} == {LLAMA}
    if name == "head_pruning_real":  # the published cut
        assert "| 111 |" in shown and SUBJECT in shown


def test_attention_of_heads_is_written_for_every_part_of_a_prompt(world, tmp_path):
    script = str(ROOT / "analyses" / "head_pruning_real" / "attention.py")
    options = ["--model", str(world[0][LLAMA]), "--players", "heads:30-31", "--questions", "3"]
    results = tmp_path / "attention.csv"
    _run([script, *options, "--tasks", "ioi", "--out", str(tmp_path / "runs")], results)
    with results.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["head"] for row in rows] == [f"L{i}H{j}" for i in (30, 31) for j in range(4)]
    parts = ("first token", "indirect object", "subject", "subject again")
    for row in rows:
        shares = [float(row[part].split()[0]) for part in parts]
        assert 0 < sum(shares) <= 1 and row["questions"] == "3"


# Twenty images, a narrow network and no GPU in place of the paper's.
FEW_IMAGES = """
import runpy, sys
from dataclasses import replace
folder = sys.argv.pop(1)
sys.path[:0] = [folder]
import images
images.PAPER = replace(
    images.PAPER, players=20, points=20, hard=2, fit=48, held=16, keeps=(5, 10), width=2, device="cpu",
    recipe=replace(images.PAPER.recipe, epochs=1, batch=10),
)
runpy.run_path(f"{folder}/run.py", run_name="__main__")
"""


def test_the_paper_s_images_come_from_the_hub(tmp_path):
    _images(tmp_path / "hub")
    folder = ROOT / "analyses" / "data_attribution" / "cifar10"
    parts = ["train", "decode", "pairs", "figures"]
    options = [*parts, "--paper", "--out", str(tmp_path / "runs")]
    with hub({"datasets/uoft-cs/cifar10": tmp_path / "hub"}) as (address, _):
        home = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
        _run(["-c", FEW_IMAGES, str(folder), *options], tmp_path / "results", **home)
    found = json.loads((tmp_path / "results" / "networks.json").read_text())
    assert (found["players"], found["retrainings"]) == (20, 64)


def _images(folder: Path) -> None:
    """The data set in the hub's layout: PNG files in a table, and names of the classes."""
    rng = np.random.default_rng(0)
    features = datasets.Features(
        {
            "img": datasets.Image(),
            "label": datasets.ClassLabel(names=[f"class {c}" for c in range(10)]),
        }
    )
    (folder / "plain_text").mkdir(parents=True)
    for part, count in (("train", 40), ("test", 30)):
        pictures = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        rows = {"img": list(pictures), "label": [i % 10 for i in range(count)]}
        table = datasets.Dataset.from_dict(rows, features=features)
        table.to_parquet(folder / "plain_text" / f"{part}-00000-of-00001.parquet")


@pytest.mark.parametrize("name", ["negation", "trolley"])
def test_the_paper_s_model_is_asked_behind_openai_s_address(name, tmp_path, monkeypatch):
    pytest.importorskip("openai", reason="the client of endpoints is an extra")
    server = Server(lambda text, _: said("True", {"True": 0.2 + 0.6 / len(text), "False": 0.1}))
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    results = tmp_path / "paper" / "results.csv"
    options = ["--paper", "--masks", "12", "--every", "11", "--results", str(results)]
    monkeypatch.setattr(sys, "argv", ["run.py", *options])
    folders = [str(ROOT / "analyses" / name), str(ROOT / "analyses")]
    monkeypatch.setattr(sys, "path", [*folders, *sys.path])
    try:
        runpy.run_path(str(ROOT / "analyses" / name / "run.py"), run_name="__main__")
        asked = sum(server.asked.values())
        runpy.run_path(str(ROOT / "analyses" / name / "run.py"), run_name="__main__")
    finally:
        server.close()
    assert {body["model"] for body in server.bodies} == {"gpt-4o-mini"}
    assert set(server.authorizations) == {"Bearer secret"}
    assert sum(server.asked.values()) == asked  # what is in the results is not asked again
    with results.open(newline="") as file:
        assert list(csv.DictReader(file))
    assert results.with_suffix(".replies.jsonl").is_file()
    assert "secret" not in results.with_suffix(".replies.jsonl").read_text()
