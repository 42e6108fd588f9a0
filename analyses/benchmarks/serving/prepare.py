"""Prune SmolLM2, the embedded model and a random Qwen3, export every form, and ask Transformers for answers.

Written to OUT: a folder for each checkpoint, ``job-MODEL.json`` with prompts for the servers, and
``answers-MODEL-transformers.json``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import argparse
import json
import time
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE

import spex_mech as sm

TASKS = ("ioi", "greater_than", "agreement", "pronouns")
TOKENS = 16
KEEP = 200  # of SmolLM2's 270 heads
MODELS = ("smollm2", "qwen3", "embedded")


def main() -> None:
    """Write checkpoints, prompts and answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--prompts", type=int, default=200, help="0 for checkpoints alone")
    parser.add_argument("--models", nargs="+", default=[*MODELS], choices=MODELS)
    parser.add_argument("--masks", type=int, default=80, help="to choose SmolLM2's heads by")
    options = parser.parse_args()
    options.out.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    smollm2 = sm.load_model("smollm2")
    prompts = prompts_of(smollm2.tokenizer, options.prompts)
    if "smollm2" in options.models:
        pruned_smollm2(smollm2, prompts, options.out, options.masks)
    if "qwen3" in options.models:
        random_qwen3(smollm2.tokenizer, prompts, options.out)
    if "embedded" in options.models:
        embedded(options.out, options.prompts)


def prompts_of(tokenizer: Any, count: int) -> list[list[int]]:
    """The beginnings of as many test questions of each of four tasks."""
    tasks = [sm.load_task(f"circuits/{name}") for name in TASKS]
    texts = [x.prompt for task in tasks for x in task.select("test")[: count // len(tasks)]]
    return [tokenizer(text)["input_ids"] for text in texts]


def pruned_smollm2(model: sm.Model, prompts: list[list[int]], out: Path, masks: int) -> None:
    """Heads chosen for `circuits/ioi` among sets that GGUF holds, any 200 heads, and a mask with edges."""
    players = sm.select_players(model, "heads")
    game = sm.TaskGame(model, sm.load_task("circuits/ioi").first(16), players, metric="margin")
    began = time.process_time()
    design = sm.designs.biased(players.n, masks, keep_rate=(0.7, 1.0), seed=0)
    spectrum = sm.decode(design, sm.evaluate(game, design).values, method="lasso", seed=0)
    limits, ablations = sm.servable("gguf"), 2 * masks // 5
    pruned = sm.prune(game, spectrum, keep=KEEP, limits=limits, validate=ablations, seed=0)
    everything = np.ones(players.n, dtype=bool)
    told = {
        "keep": KEEP,
        "full": float(game(everything[None])[0]),
        "measured": pruned.measured,
        "cost": pruned.cost,
        "cpu seconds": time.process_time() - began,
        "removed": [players.names[i] for i in np.flatnonzero(~pruned.mask)],
    }
    (out / "pruned.json").write_text(json.dumps(told, indent=1))
    print(told, flush=True)
    both = sm.select_players(model, "heads mlps")
    gone = ("L0H", "L5H", "L3MLP", "L12MLP", "L7H0", "L7H1", "L7H2")
    edges = np.array([not name.startswith(gone) for name in both.names])
    scattered = np.random.default_rng(0).permutation(players.n) < KEEP
    for name, mask, forms in [
        ("smollm2", everything, ("gguf", "dense")),
        ("smollm2-200", pruned.mask, ("gguf", "own", "dense", "even")),
        ("smollm2-scattered", scattered, ("own",)),
        ("smollm2-edges", edges, ("gguf",)),
    ]:
        write(model, both if name.endswith("edges") else players, mask, out, name, forms)
        answers(model, both if name.endswith("edges") else players, mask, prompts, out, name)


def random_qwen3(tokenizer: Any, prompts: list[list[int]], out: Path) -> None:
    """SmolLM2's shape with 8 heads on 4 key/value heads; layers keep 8 or 4 of them in turns."""
    config = transformers.Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=12,
        num_attention_heads=8,
        num_key_value_heads=4,
        head_dim=64,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(0)
    hf = transformers.Qwen3ForCausalLM(config)
    for parameter in hf.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, std=0.06)
    model = sm.load_model(hf, tokenizer=tokenizer)
    players = sm.select_players(model, "heads")
    even_layers = np.array([p.layer % 2 == 0 or p.index % 2 == 0 for p in players])
    for name, mask, forms in [
        ("qwen3", np.ones(players.n, dtype=bool), ("dense",)),
        ("qwen3-uneven", even_layers, ("dense", "laguna", "own", "even")),
    ]:
        write(model, players, mask, out, name, forms)
        answers(model, players, mask, prompts, out, name)


def embedded(out: Path, count: int) -> None:
    """The embedded model with a stand-in for its tokenizer, whose words llama.cpp does not split."""
    whole = sm.load_model("embedded")
    names = ("people", "capitals", "kinds", "order")
    texts = [
        x.prompt
        for name in names
        for x in sm.load_task(f"embedded/{name}").select("test")[: count // 4]
    ]
    prompts = [whole.tokenizer(text)["input_ids"] for text in texts]
    model = sm.load_model(whole.hf, tokenizer=stand_in())
    players = sm.select_players(model, "heads")
    sizes = {0: 2, 1: 1, 2: 2, 3: 1}  # of the two query heads of each key/value head
    mask = np.array(
        [p.index % 2 < sizes[p.layer] and p.name not in ("L2H0", "L2H1") for p in players]
    )
    write(model, players, mask, out, "embedded-uneven", ("gguf",))
    answers(model, players, mask, prompts, out, "embedded-uneven")


def stand_in() -> Any:
    """A tokenizer of bytes with the embedded model's special tokens; prompts are token ids anyway."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: i for i, text in enumerate(["<pad>", "<s>", "</s>", *alphabet, "th"])}
    bare = Tokenizer(BPE(vocabulary, [("t", "h")]))  # llama.cpp wants a merge
    bare.add_special_tokens(["<pad>", "<s>", "</s>"])
    bare.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = {"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=bare, **special)


def write(
    model: sm.Model,
    players: sm.PlayerSet,
    mask: np.ndarray,
    out: Path,
    name: str,
    forms: tuple[str, ...],
) -> None:
    """One checkpoint for each form; ``even`` is ``family`` with gaps filled."""
    for form in forms:
        options: dict[str, Any] = {"mode": "compact", "form": form}
        if form == "dense":
            options = {"mode": "dense"}
        elif form == "even":
            options = {"mode": "compact", "form": "family", "even": True}
        sm.export(model, players, mask, out / f"{name}-{form}", **options)
        print(f"{name}-{form}")


def answers(
    model: sm.Model,
    players: sm.PlayerSet,
    mask: np.ndarray,
    prompts: list[list[int]],
    out: Path,
    name: str,
) -> None:
    """Transformers' greedy answers of the compact model, in batches of prompts of one length."""
    if not prompts:
        return
    hf = sm.compact_model(model, players, mask)
    made: dict[int, list[int]] = {}
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for length, rows in groupby(order, key=lambda i: len(prompts[i])):
        batch = [*rows]
        ids = torch.tensor([prompts[i] for i in batch])
        whole = hf.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=TOKENS,
            do_sample=False,
            pad_token_id=0,
            eos_token_id=None,
        )
        made |= {i: row[length:].tolist() for i, row in zip(batch, whole, strict=True)}
    job = {"prompts": prompts, "tokens": TOKENS, "threads": 1, "context": 512}
    (out / f"job-{name}.json").write_text(json.dumps(job))
    rows = {"answers": [made[i] for i in range(len(prompts))]}
    (out / f"answers-{name}-transformers.json").write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
